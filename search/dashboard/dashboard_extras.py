"""Notes, figures and files that the dashboard shows of a study, derived from the study."""

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
from ..results.summary import StudySummary, summarize
from ..study.attributes import CHECKPOINTS, PLAN, PRUNED_SHARE, SECONDS, WORKER
from ..study.legacy_names import study_attributes, trial_attributes
from ..study.storage import has_baseline
from ..study.trial_record import read_records
from . import notes

_OF_TRIALS = "dashboard:artifacts:"
"""Prefix of the system attributes in which the dashboard looks for files of trials."""
_JSON = (PLAN, PRUNED_SHARE, CHECKPOINTS, SECONDS, WORKER)
_HEIGHT = 450
"""Height of a figure in the dashboard, in pixels."""

Attributes = dict[str, Any]


@dataclass(frozen=True)
class DashboardExtras:
    """What the dashboard shows of a study.

    Attributes:
        system: system attributes, with notes, figures and files.
        user: user attributes, readable ones first.
        best: numbers of the trials on the front of the largest budget; None if unknown.
    """

    system: Attributes
    user: Attributes = field(default_factory=dict)
    best: frozenset[int] | None = None


def dashboard_extras(
    study: optuna.Study, stored: Mapping[str, Any], store: Artifacts
) -> DashboardExtras:
    """Create what the dashboard shows of a study.

    Args:
        study: the study.
        stored: its system attributes.
        store: the store of exported files.
    """
    if not has_baseline(study):
        return DashboardExtras(dict(stored), study.user_attrs)
    summary = summarize(study)
    trials = {trial.number: trial for trial in study.get_trials(deepcopy=False)}
    board = _board(study, stored)
    _note_study(board, summary)
    _note_trials(board, summary, trials)
    for name, figure in _figures(summary):
        optuna_dashboard.save_plotly_graph_object(board, figure, graph_object_id=name)
    files = {
        f"{_OF_TRIALS}{trials[number]._trial_id}:{file.artifact_id}": json.dumps(asdict(file))
        for number, file in read_exported(study, store)
        if number in trials
    }
    largest = summary.results[-1].budget
    return DashboardExtras(
        system=board._storage.get_study_system_attrs(board._study_id) | files,
        user=notes.study_in_words(summary) | _short(study_attributes(study.user_attrs)),
        best=frozenset(record.number for record in front(summary.records, largest)),
    )


def readable(trial: FrozenTrial) -> Attributes:
    """A trial's user attributes, readable ones first.

    JSON values are left out: they would widen the page, and the trial's note has the same content.
    """
    raw = {
        name: value
        for name, value in trial_attributes(trial.user_attrs).items()
        if name not in _JSON
    }
    try:
        records = read_records([trial])
    except (KeyError, TypeError, ValueError):  # a study that was not made by Paredown
        return raw
    return {name: text for record in records for name, text in notes.in_words(record)} | raw


def _short(stored: Mapping[str, Any]) -> Attributes:
    """A study's user attributes without JSON values."""
    return {
        name: value
        for name, value in stored.items()
        if not isinstance(value, dict) and not str(value).startswith(("{", "[{"))
    }


class _Noted(optuna.Trial):
    """A trial to save notes to.

    NOTE: the constructor of `optuna.Trial` would call the sampler, so it is not called.
    """

    def __init__(self, board: optuna.Study, trial_id: int) -> None:
        self.study, self.storage, self._trial_id = board, board._storage, trial_id


def _board(study: optuna.Study, stored: Mapping[str, Any]) -> optuna.Study:
    """An in-memory copy of a study's system attributes, to which optuna-dashboard's functions
    write."""
    board = optuna.create_study(
        study_name=study.study_name, storage=InMemoryStorage(), directions=study.directions
    )
    for name, value in stored.items():
        board._storage.set_study_system_attr(board._study_id, name, value)
    return board


def _note_study(board: optuna.Study, summary: StudySummary) -> None:
    note = optuna_dashboard.get_note(board)
    fuller = notes.with_winners(note, summary)
    if fuller != note:
        optuna_dashboard.save_note(board, fuller)


def _note_trials(
    board: optuna.Study, summary: StudySummary, trials: Mapping[int, FrozenTrial]
) -> None:
    """Write the notes of trials that have no note by the user."""
    for record in summary.records:
        trial = _Noted(board, trials[record.number]._trial_id)
        if not optuna_dashboard.get_note(trial):
            optuna_dashboard.save_note(trial, notes.trial_note(record, summary))


def _figures(summary: StudySummary) -> Iterator[tuple[str, go.Figure]]:
    """The figures of a study by name; figures that fail are left out."""
    for name, draw, title in (
        ("front", front_figure, "Pareto fronts of the budgets"),
        ("progress", progress_figure, "Progress of the search"),
    ):
        try:
            figure = draw(summary)
        except Exception:  # the page must work even if a figure fails
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
