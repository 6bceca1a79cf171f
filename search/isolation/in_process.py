"""Evaluation in the searching process, for objects that cannot be sent to another process."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TypeVar

from ...errors import ParedownError
from ...heartbeat import listening
from ...objectives.evaluation.checkpoints import NO_EARLY_STOPPING, EarlyStopped, EarlyStopper
from ...objectives.evaluation.outcome import Outcome
from ...objectives.evaluation.task_spec import TaskSpec
from ...objectives.training.cache import Cache
from ...objectives.training.device import threads as torch_threads
from ...objectives.training.progress import Progress
from ...spaces.plan import Plan
from .backend import (
    BaselineScore,
    EvaluationBackend,
    EvaluationFailed,
    TaskSummary,
    TimeLimitReached,
)
from .evaluators import Evaluators
from .requests import Raised

T = TypeVar("T")


class InProcessBackend(EvaluationBackend):
    """Evaluates plans in this process, whose crash ends the search.

    Args:
        spec: specification of the task.
        cache: cache of trained networks.
        progress: notified of stages and epochs.
        threads: number of torch's threads; None leaves it unchanged.
        stall: unused; the signature is that of `ProcessBackend`.
        reason: why no other process is used, for the user.
    """

    def __init__(
        self,
        spec: TaskSpec,
        cache: Cache,
        progress: Progress,
        threads: int | None,
        stall: float = 0.0,
        reason: str = "",
    ) -> None:
        self._spec, self._cache, self._progress = spec, cache, progress
        self._threads, self._reason = threads, reason
        self._evaluators: Evaluators | None = None

    def open(self) -> TaskSummary:
        with self._listening():
            self._evaluators = Evaluators(self._spec, self._cache, self._progress)
            return self._evaluators.summary(self._reason)

    def baseline(self) -> BaselineScore:
        return self._done(lambda here: here.baseline())

    def fitting_error(self, plan: Plan) -> float:
        return self._done(lambda here: here.fitting_error(plan))

    def evaluate(
        self, plan: Plan, early_stopper: EarlyStopper = NO_EARLY_STOPPING, seed: int | None = None
    ) -> Outcome:
        return self._done(lambda here: here.evaluate(plan, early_stopper, seed))

    def test(self, plan: Plan, seed: int | None = None) -> Outcome:
        return self._done(lambda here: here.test(plan, seed))

    def close(self) -> None:
        self._evaluators = None

    def _done(self, work: Callable[[Evaluators], T]) -> T:
        if self._evaluators is None:
            raise RuntimeError("no task was opened")
        try:
            with self._listening():
                return work(self._evaluators)
        except (ParedownError, EarlyStopped, TimeLimitReached):
            raise
        except Exception as error:
            raised = Raised.of(error, ())
            raise EvaluationFailed(raised.text, raised.details) from error

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        with torch_threads(self._threads), listening(self._beat):
            yield

    def _beat(self) -> None:
        left = self.seconds_left()
        if left is not None and left <= 0:
            raise TimeLimitReached
