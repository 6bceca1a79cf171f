"""A storage that adds notes, figures and files when the dashboard reads a study.

They are created on request: the search spends no time on them, they are never outdated, and what
the user writes in the dashboard is preserved.
"""

import copy
import sys
import threading
import time
import traceback
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.storages import BaseStorage, RDBStorage
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from ..export.artifacts import Artifacts
from .dashboard_extras import Attributes, DashboardExtras, dashboard_extras, readable

_EVERY_SECONDS = 5.0
"""Shortest interval between two updates of a study that changes, in seconds."""


@dataclass(frozen=True)
class _CachedExtras:
    """The extras of a study, the attributes and state they were created from, and until when they
    are used without a check."""

    extras: DashboardExtras
    attributes: Attributes
    state: object
    until: float


class DashboardStorage(RDBStorage):
    """A storage whose studies have the extras of `dashboard_extras`.

    Args:
        url: URL of the storage.
        plain: the same storage without extras.
        store: the store of exported files.
    """

    def __init__(self, url: str, plain: BaseStorage, store: Artifacts) -> None:
        super().__init__(url)
        self._plain, self._store = plain, store
        self._cached, self._ended = dict[int, _CachedExtras](), dict[int, FrozenTrial]()
        self._lock, self._thread = threading.RLock(), threading.local()

    def looking_at(self, study_id: int | None) -> None:
        """Set the study of the current request (thread); other studies get no extras."""
        self._thread.study_id = study_id

    def best(self, study_id: int) -> frozenset[int] | None:
        """The numbers of a study's best trials; None if unknown."""
        with self._lock:
            cached = self._cached.get(study_id)
            return cached.extras.best if cached else None

    def get_study_system_attrs(self, study_id: int) -> Attributes:
        return self._extras(study_id, super().get_study_system_attrs(study_id)).system

    def get_all_studies(self) -> list[FrozenStudy]:
        looking = getattr(self._thread, "study_id", None)
        return [
            self._with_extras(study) if study._study_id == looking else study
            for study in super().get_all_studies()
        ]

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        trials = self._plain.get_all_trials(study_id, deepcopy=False, states=states)
        return [self._readable(trial) for trial in trials]

    def _readable(self, trial: FrozenTrial) -> FrozenTrial:
        known = self._ended.get(trial._trial_id)
        if known is not None:
            return known
        shown = copy.copy(trial)
        shown.user_attrs = readable(trial)
        if trial.state.is_finished():  # will not change any more
            self._ended[trial._trial_id] = shown
        return shown

    def _with_extras(self, study: FrozenStudy) -> FrozenStudy:
        shown = self._extras(study._study_id, study.system_attrs)
        return FrozenStudy(
            study.study_name,
            None,
            shown.user or study.user_attrs,
            shown.system,
            study._study_id,
            directions=study.directions,
        )

    def _extras(self, study_id: int, stored: Attributes) -> DashboardExtras:
        with self._lock:
            cached = self._cached.get(study_id)
            if cached is None or cached.attributes != stored or self._is_old(study_id, cached):
                cached = self._cached[study_id] = self._make(study_id, stored)
            return cached.extras

    def _is_old(self, study_id: int, cached: _CachedExtras) -> bool:
        return time.monotonic() > cached.until and self._state(study_id) != cached.state

    def _state(self, study_id: int) -> object:
        """A value that changes when the extras have to be updated."""
        trials = self._plain.get_all_trials(study_id, deepcopy=False)
        running = [trial for trial in trials if not trial.state.is_finished()]
        parts = [(trial.number, len(trial.user_attrs)) for trial in running]
        return len(trials), parts, self._plain.get_study_user_attrs(study_id)

    def _make(self, study_id: int, stored: Attributes) -> _CachedExtras:
        state: Any = None
        try:
            state = self._state(study_id)
            name = self._plain.get_study_name_from_id(study_id)
            study = optuna.load_study(study_name=name, storage=self._plain)
            extras = dashboard_extras(study, stored, self._store)
        except Exception:  # the page must work even if the extras fail
            traceback.print_exc(file=sys.stderr)
            extras = DashboardExtras(stored)
        return _CachedExtras(extras, stored, state, time.monotonic() + _EVERY_SECONDS)
