"""Several watchers as one; what fails in a user's own ends the search with one clear error."""

from collections.abc import Callable, Sequence
from typing import Any

from ...errors import InputError
from ...objectives.accuracy.budget import Budget
from ...references import user_code
from ...spaces.plan import Plan
from ..isolation.backend import TaskSummary
from ..runner.callbacks import Watcher
from ..study.config import StudyConfig
from ..study.retrainings import Final
from ..study.storage import Baseline
from ..study.trial_record import Record


class Watchers(Watcher):
    """Tells each of several watchers, in their order.

    Args:
        watchers: to be told.

    Raises:
        InputError: one of them is no `Watcher`.
    """

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        for one in watchers:
            if not isinstance(one, Watcher):
                raise InputError(
                    "callbacks: expected objects of classes that inherit from paredown.Watcher, "
                    f"got {one!r} of type {type(one).__name__}"
                )
        self.watchers = tuple(watchers)

    def stage(self, name: str, epochs: int = 0) -> None:
        self._tell(lambda one: one.stage(name, epochs))

    def epoch(self, done: int, loss: float) -> None:
        self._tell(lambda one: one.epoch(done, loss))

    def prepared(self, config: StudyConfig, storage: str, task: TaskSummary) -> None:
        self._tell(lambda one: one.prepared(config, storage, task))

    def baseline_ready(self, baseline: Baseline, records: Sequence[Record]) -> None:
        self._tell(lambda one: one.baseline_ready(baseline, records))

    def trial_begins(self, number: int | None, plan: Plan) -> None:
        self._tell(lambda one: one.trial_begins(number, plan))

    def trial_ended(self, record: Record, records: Sequence[Record]) -> None:
        self._tell(lambda one: one.trial_ended(record, records))

    def final_begins(self, record: Record) -> None:
        self._tell(lambda one: one.final_begins(record))

    def final_ended(self, final: Final, budget: Budget) -> None:
        self._tell(lambda one: one.final_ended(final, budget))

    def test_failed(self, budget: Budget, reason: str) -> None:
        self._tell(lambda one: one.test_failed(budget, reason))

    def finished(self) -> None:
        self._tell(lambda one: one.finished())

    def _tell(self, call: Callable[[Watcher], Any]) -> None:
        for one in self.watchers:
            # A search takes a RuntimeError for a plan that failed: this is none.
            with user_code(f"the callback {type(one).__name__}"):
                call(one)
