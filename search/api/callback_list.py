"""A list of callbacks as one callback; an error in a user's callback ends the search."""

from collections.abc import Callable, Sequence
from typing import Any

from ...errors import InputError
from ...objectives.accuracy.budget import Budget
from ...references import user_code
from ...spaces.plan import Plan
from ..isolation.backend import TaskSummary
from ..runner.callbacks import Callback
from ..study.config import StudyConfig
from ..study.retrainings import Retraining
from ..study.storage import Baseline
from ..study.trial_record import TrialRecord


class CallbackList(Callback):
    """Calls several callbacks in order.

    Args:
        callbacks: the callbacks.

    Raises:
        InputError: an object is not a `Callback`.
    """

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        for callback in callbacks:
            if not isinstance(callback, Callback):
                raise InputError(
                    "callbacks: expected objects of classes that inherit from paredown.Callback, "
                    f"got {callback!r} of type {type(callback).__name__}"
                )
        self.callbacks = tuple(callbacks)

    def stage(self, name: str, epochs: int = 0) -> None:
        self._notify(lambda callback: callback.stage(name, epochs))

    def epoch(self, done: int, loss: float) -> None:
        self._notify(lambda callback: callback.epoch(done, loss))

    def prepared(self, config: StudyConfig, storage: str, task: TaskSummary) -> None:
        self._notify(lambda callback: callback.prepared(config, storage, task))

    def baseline_ready(self, baseline: Baseline, records: Sequence[TrialRecord]) -> None:
        self._notify(lambda callback: callback.baseline_ready(baseline, records))

    def trial_begins(self, number: int | None, plan: Plan) -> None:
        self._notify(lambda callback: callback.trial_begins(number, plan))

    def trial_ended(self, record: TrialRecord, records: Sequence[TrialRecord]) -> None:
        self._notify(lambda callback: callback.trial_ended(record, records))

    def retraining_begins(self, record: TrialRecord) -> None:
        self._notify(lambda callback: callback.retraining_begins(record))

    def retraining_ended(self, retraining: Retraining, budget: Budget) -> None:
        self._notify(lambda callback: callback.retraining_ended(retraining, budget))

    def test_failed(self, budget: Budget, reason: str) -> None:
        self._notify(lambda callback: callback.test_failed(budget, reason))

    def finished(self) -> None:
        self._notify(lambda callback: callback.finished())

    def _notify(self, call: Callable[[Callback], Any]) -> None:
        for callback in self.callbacks:
            # Wrapped, as the search would take some errors for a failed plan.
            with user_code(f"the callback {type(callback).__name__}"):
                call(callback)
