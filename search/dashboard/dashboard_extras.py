"""What the dashboard shows of a study beyond what the study keeps: all of it follows from that."""

import json
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import optuna
import optuna_dashboard
import plotly.graph_objects as go
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial

from ..export.artifacts import Artifacts, read_exported
from ..figures.front import front_figure
from ..figures.hypervolume_history import progress_figure
from ..results.pareto import front
from ..results.summary import Answer, answer
from ..study.storage import has_baseline
from ..study.trial_record import PLAN, REMOVED, RUNGS, SECONDS, WORKER, read_records
from . import notes

_OF_TRIALS = "dashboard:artifacts:"
"""Where the dashboard looks for the files of trials that have ended."""
_JSON = (PLAN, REMOVED, RUNGS, SECONDS, WORKER)
_HEIGHT = 450
"""Pixels that the dashboard gives a picture."""

Attributes = dict[str, Any]


@dataclass(frozen=True)
class Adornments:
    """What is shown of a study.

    Attributes:
        system: its system attributes, which hold notes, pictures and files.
        user: its user attributes, readable ones first.
        best: the numbers of the trials on the front within its largest budget; None if it is not
            known what is best.
    """

    system: Attributes
    user: Attributes = field(default_factory=dict)
    best: frozenset[int] | None = None


def adorn(study: optuna.Study, kept: Mapping[str, Any], store: Artifacts) -> Adornments:
    """Make what is shown of a study.

    Args:
        study: to be shown.
        kept: its system attributes.
        store: where exported files are.
    """
    if not has_baseline(study):
        return Adornments(dict(kept), study.user_attrs)
    found, trials = answer(study), {one.number: one for one in study.get_trials(deepcopy=False)}
    board = _board(study, kept)
    _note_study(board, found)
    _note_trials(board, found, trials)
    for name, figure in _figures(found):
        optuna_dashboard.save_plotly_graph_object(board, figure, graph_object_id=name)
    files = {
        f"{_OF_TRIALS}{trials[number]._trial_id}:{file.artifact_id}": json.dumps(asdict(file))
        for number, file in read_exported(study, store)
        if number in trials
    }
    largest = found.verdicts[-1].budget
    return Adornments(
        system=board._storage.get_study_system_attrs(board._study_id) | files,
        user=notes.study_in_words(found) | _short(study.user_attrs),
        best=frozenset(one.number for one in front(found.records, largest)),
    )


def readable(trial: FrozenTrial) -> Attributes:
    """A trial's user attributes, with readable ones before the raw ones.

    Those that are JSON are left out: the page gets as wide as they are, and the trial's note says
    the same.
    """
    raw = {name: value for name, value in trial.user_attrs.items() if name not in _JSON}
    try:
        records = read_records([trial])
    except (KeyError, TypeError, ValueError):  # of a study that is not ours
        return raw
    return {name: said for record in records for name, said in notes.in_words(record)} | raw


def _short(kept: Mapping[str, Any]) -> Attributes:
    """What a study keeps, without what is JSON inside."""
    return {
        name: value
        for name, value in kept.items()
        if not isinstance(value, dict) and not str(value).startswith(("{", "[{"))
    }


class _Noted(optuna.Trial):
    """A trial of a board as the dashboard's notes want it.

    Optuna's own constructor would have the sampler propose something for it.
    """

    def __init__(self, board: optuna.Study, trial_id: int) -> None:
        self.study, self.storage, self._trial_id = board, board._storage, trial_id


def _board(study: optuna.Study, kept: Mapping[str, Any]) -> optuna.Study:
    """A study in memory, with the attributes of another, for the dashboard's own functions to
    write on."""
    board = optuna.create_study(
        study_name=study.study_name, storage=InMemoryStorage(), directions=study.directions
    )
    for name, value in kept.items():
        board._storage.set_study_system_attr(board._study_id, name, value)
    return board


def _note_study(board: optuna.Study, found: Answer) -> None:
    note = optuna_dashboard.get_note(board)
    fuller = notes.with_winners(note, found)
    if fuller != note:
        optuna_dashboard.save_note(board, fuller)


def _note_trials(board: optuna.Study, found: Answer, trials: Mapping[int, FrozenTrial]) -> None:
    """Write the notes of trials; what the user wrote stays."""
    for record in found.records:
        trial = _Noted(board, trials[record.number]._trial_id)
        if not optuna_dashboard.get_note(trial):
            optuna_dashboard.save_note(trial, notes.trial_note(record, found))


def _figures(found: Answer) -> Iterator[tuple[str, go.Figure]]:
    """The pictures of a study by name; what cannot be drawn is left out."""
    for name, draw, title in (
        ("front", front_figure, "What is within the budgets"),
        ("progress", progress_figure, "How far the search has come"),
    ):
        try:
            figure = draw(found)
        except Exception:  # a page without a picture is better than none
            traceback.print_exc(file=sys.stderr)
            continue
        figure.update_layout(
            height=_HEIGHT,
            title={"text": title, "x": 0.02, "y": 0.97},
            margin={"l": 70, "r": 20, "t": 50, "b": 110},
            legend={
                "orientation": "h",
                "x": 0,
                "y": -0.22,
                "yanchor": "top",
                "font": {"size": 11},
            },
        )
        yield name, figure
