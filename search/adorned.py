"""A storage as the dashboard shows it: with notes, pictures and files that nobody had to write.

All of them follow from what a search keeps anyway. So they are made when a page asks for them and
not written: a search spends no time on them, they are never out of date, and what the user writes
in the dashboard stays.
"""

import copy
import json
import sys
import threading
import time
import traceback
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import asdict
from typing import Any

import optuna
import optuna_dashboard
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from . import notes
from .answers import Answer, answer
from .exports import Artifacts, read_exported
from .figures.front import front_figure
from .figures.progress import progress_figure
from .record import WORKER, read_records
from .storage import has_baseline

_EVERY_SECONDS = 5.0
"""What changes all the time is made afresh no more often."""

_FIGURES = {"front": front_figure, "progress": progress_figure}
_OF_TRIALS = "dashboard:artifacts:"
"""Where the dashboard looks for files of trials that have ended."""

Attributes = dict[str, Any]


class AdornedStorage(RDBStorage):
    """A storage that says more of the studies in it.

    Args:
        url: of the storage.
        plain: the same storage as it is.
        store: where exported files are.
    """

    def __init__(self, url: str, plain: BaseStorage, store: Artifacts) -> None:
        super().__init__(url)
        self._plain, self._store = plain, store
        self._made = dict[int, _Made]()
        self._lock, self._looking = threading.RLock(), threading.local()

    def looking_at(self, study_id: int | None) -> None:
        """Say which study a request, which is this thread, is about: others are not adorned."""
        self._looking.study_id = study_id

    def get_study_system_attrs(self, study_id: int) -> Attributes:
        return self._adorned(study_id, super().get_study_system_attrs(study_id))

    def get_all_studies(self) -> list[FrozenStudy]:
        looking = getattr(self._looking, "study_id", None)
        return [
            self._shown(study) if study._study_id == looking else study
            for study in super().get_all_studies()
        ]

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        trials = self._plain.get_all_trials(study_id, deepcopy=False, states=states)
        return [_readable(trial) for trial in trials]

    def _shown(self, study: FrozenStudy) -> FrozenStudy:
        return FrozenStudy(
            study.study_name,
            None,
            study.user_attrs,
            self._adorned(study._study_id, study.system_attrs),
            study._study_id,
            directions=study.directions,
        )

    def _adorned(self, study_id: int, kept: Attributes) -> Attributes:
        """A study's system attributes with what is not kept among them."""
        with self._lock:
            made = self._made.get(study_id)
            if made is None or made.kept != kept or made.is_old(lambda: self._state(study_id)):
                made = self._made[study_id] = _Made(self._state(study_id), kept, self._make)
            return made.attributes

    def _state(self, study_id: int) -> object:
        """Changes when there is something new to be said."""
        trials = self._plain.get_all_trials(study_id, deepcopy=False)
        ended = sum(trial.state.is_finished() for trial in trials)
        return study_id, ended, self._plain.get_study_user_attrs(study_id)

    def _make(self, study_id: int, kept: Attributes) -> Attributes:
        study = optuna.load_study(
            study_name=self._plain.get_study_name_from_id(study_id), storage=self._plain
        )
        if not has_baseline(study):
            return kept
        board, found = _board(study, kept), answer(study)
        note = optuna_dashboard.get_note(board)
        if note != (fuller := notes.with_winners(note, found)):
            optuna_dashboard.save_note(board, fuller)
        trials = {trial.number: trial for trial in study.get_trials(deepcopy=False)}
        _note_trials(board, found, trials)
        for name, figure in _FIGURES.items():
            optuna_dashboard.save_plotly_graph_object(board, figure(found), graph_object_id=name)
        files = {
            f"{_OF_TRIALS}{trials[number]._trial_id}:{file.artifact_id}": json.dumps(asdict(file))
            for number, file in read_exported(study, self._store)
            if number in trials
        }
        return dict(board._storage.get_study_system_attrs(board._study_id)) | files


class _Made:
    """What was made for a study, and from what."""

    def __init__(
        self,
        state: object,
        kept: Attributes,
        make: Callable[[int, Attributes], Attributes],
    ) -> None:
        self.state, self.kept = state, kept
        study_id: int = state[0]  # type: ignore[index]
        try:
            self.attributes = make(study_id, kept)
        except Exception:  # a page without pictures is better than none
            traceback.print_exc(file=sys.stderr)
            self.attributes = kept
        self.until = time.monotonic() + _EVERY_SECONDS

    def is_old(self, state: Callable[[], object]) -> bool:
        """Whether it is to be made again."""
        return time.monotonic() > self.until and state() != self.state


class _Noted(optuna.Trial):
    """A trial of a board as the dashboard's notes want it; Optuna's own constructor would have the
    sampler propose something for it."""

    def __init__(self, board: optuna.Study, trial_id: int) -> None:
        self.study, self.storage, self._trial_id = board, board._storage, trial_id


def _board(study: optuna.Study, kept: Mapping[str, Any]) -> optuna.Study:
    """A study in memory with another's system attributes, for the dashboard's functions to write
    on."""
    board = optuna.create_study(
        study_name=study.study_name, storage=InMemoryStorage(), directions=study.directions
    )
    for name, value in kept.items():
        board._storage.set_study_system_attr(board._study_id, name, value)
    return board


def _note_trials(board: optuna.Study, found: Answer, trials: Mapping[int, FrozenTrial]) -> None:
    """Write the notes of trials; what the user wrote stays."""
    for record in found.records:
        trial = _Noted(board, trials[record.number]._trial_id)
        if not optuna_dashboard.get_note(trial):
            optuna_dashboard.save_note(trial, notes.trial_note(record, found))


def _readable(trial: FrozenTrial) -> FrozenTrial:
    """A trial with its attributes in readable units beside the raw ones."""
    shown, said = copy.copy(trial), Attributes()
    for record in _records([trial]):
        if record.plan is not None:
            said["plan in words"] = record.plan.describe()
        if record.cost is not None:
            said["costs"] = notes.costs(record.cost)
        if took := notes.took_in_words(record):
            said["took"] = took
    raw = {name: value for name, value in trial.user_attrs.items() if name != WORKER}
    shown.user_attrs = said | raw
    return shown


def _records(trials: Iterable[FrozenTrial]) -> Iterable[Any]:
    try:
        return read_records(trials)
    except (KeyError, TypeError, ValueError):  # of a study that is not ours
        return ()
