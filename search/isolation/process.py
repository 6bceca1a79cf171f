"""The backend that evaluates plans in a child process, which is watched and restarted.

The child is spawned, not forked (threads and CUDA do not survive a fork), by `subprocess` and not
by `multiprocessing`, which would import the user's script in the child.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import cloudpickle

from ...objectives.evaluation.checkpoints import NO_EARLY_STOPPING, EarlyStopper
from ...objectives.evaluation.outcome import Outcome
from ...objectives.evaluation.task_spec import TaskSpec
from ...objectives.training.cache import Cache
from ...objectives.training.progress import Progress
from ...spaces.blocks.block_graph import BlockGraph
from ...spaces.blocks.families import pieces_from
from ...spaces.graph.sites import Spec
from ...spaces.plan import Plan
from .backend import (
    BaselineScore,
    CannotRestart,
    EvaluationBackend,
    EvaluationFailed,
    EvaluatorDied,
    TaskSummary,
    TimeLimitReached,
)
from .child_process import ChildProcess, Ended
from .given_objects import CannotBeSent, objects_of
from .requests import (
    Alive,
    EpochEnded,
    Evaluate,
    GetBaseline,
    GetFittingError,
    GetPiece,
    Open,
    Raised,
    Reply,
    StageBegan,
    Stopped,
)

_TO_STOP = 5.0
"""Seconds until the next heartbeat that a child has after the time limit, before it is killed."""

_DOING = {
    "baseline": "training the baseline",
    "assemble": "assembling the plan's network",
    "train": "training",
    "prune": "pruning",
    "fine-tune": "fine-tuning",
    "quantize": "quantizing",
    "score": "scoring",
}
"""Stage -> description in messages."""


class ProcessBackend(EvaluationBackend):
    """Evaluates plans in a child process, which is restarted when it dies.

    Args:
        spec: specification of the task.
        cache: cache of trained networks.
        progress: notified of stages and epochs, in this process.
        threads: number of torch's threads; None for torch's default.
        stall: seconds without progress after which the child is killed.

    Raises:
        CannotBeSent: the task has objects that cannot be used in another process.
    """

    def __init__(
        self, spec: TaskSpec, cache: Cache, progress: Progress, threads: int | None, stall: float
    ) -> None:
        self._progress, self._stall = progress, stall
        self._open = Open(spec, objects_of(spec), threads, (cache.folder, cache.limit))
        _check_sendable(self._open)
        self._baseline: BaselineScore | None = None
        self._child: ChildProcess | None = None

    def open(self) -> TaskSummary:
        summary: TaskSummary = _once_more(lambda: self._started(ChildProcess()))
        return summary

    def baseline(self) -> BaselineScore:
        score: BaselineScore = _once_more(lambda: self._ask(GetBaseline()))
        self._baseline = score
        return score

    def fitting_error(self, plan: Plan) -> float:
        return float(self._ask(GetFittingError(plan)))

    def evaluate(
        self, plan: Plan, early_stopper: EarlyStopper = NO_EARLY_STOPPING, seed: int | None = None
    ) -> Outcome:
        outcome: Outcome = self._ask(Evaluate(plan, seed, early_stopper))
        return outcome

    def test(self, plan: Plan, seed: int | None = None) -> Outcome:
        outcome: Outcome = _once_more(lambda: self._ask(Evaluate(plan, seed, on_test=True)))
        return outcome

    def predicting(self) -> AbstractContextManager[None]:
        return pieces_from(self._piece)

    def _piece(self, family: str, spec: Spec) -> BlockGraph:
        """The graph of a family's block for a site, traced in the child: no torch import here.

        It takes milliseconds, so the time limit does not apply.
        """
        deadline, self.deadline = self.deadline, None
        try:
            piece: BlockGraph = _once_more(lambda: self._ask(GetPiece(family, spec)))
            return piece
        finally:
            self.deadline = deadline

    def close(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None

    def _ask(self, request: object) -> Any:
        """Send a request to the child, restarted if it is dead, and wait for the reply."""
        if self._child is None or not self._child.is_alive():
            self._start_again()
        return self._answer(request)

    def _start_again(self) -> None:
        """Start a new child after the old one died.

        Raises:
            CannotRestart: the new child failed too, or has a different baseline.
        """
        self.close()
        try:
            _once_more(lambda: self._started(ChildProcess()))
            if self._baseline is not None:
                # Loaded from the cache; with a different baseline, drops are not comparable.
                again: BaselineScore = self._answer(GetBaseline())
                if again.digest != self._baseline.digest:
                    raise CannotRestart(
                        "the evaluating process died, and its replacement has a different "
                        "baseline; was the cache emptied during the search?"
                    )
        except EvaluationFailed as error:
            raise CannotRestart(
                f"the evaluating process died and cannot be restarted: {error}"
            ) from None
        except BaseException:
            self.close()  # a child whose baseline is not verified must not evaluate plans
            raise

    def _started(self, child: "ChildProcess") -> Any:
        self._child = child
        try:
            return self._answer(self._open)
        except BaseException:
            self.close()  # a child without a task is useless
            raise

    def _answer(self, request: object) -> Any:
        """Send a request and wait for the reply; an exception while waiting kills the child."""
        child = self._child
        if child is None:
            raise RuntimeError("there is no evaluating process")
        try:
            child.send(request)
            reply = self._wait(child, stall=None if isinstance(request, Open) else self._stall)
        except BaseException:
            self._child = None
            child.kill()
            raise
        if isinstance(reply, Stopped):
            raise TimeLimitReached
        if isinstance(reply, Reply):
            return reply.value
        if reply.error is not None:
            raise reply.error
        # After an unexpected error the process may be unusable, as after CUDA errors.
        self.close()
        raise EvaluationFailed(reply.text, reply.details)

    def _wait(self, child: "ChildProcess", stall: float | None) -> Reply | Raised | Stopped:
        # Only silence while this process was waiting counts: not the time that it was suspended or
        # blocked by a callback or a terminal.
        doing, silence, stopping = "", 0.0, False
        while True:
            if stall is not None and silence > stall:
                raise EvaluatorDied(
                    f"the evaluating process made no progress for {stall:g} s{_while(doing)} and "
                    "was killed"
                )
            left = self.seconds_left()
            if left is not None and left <= 0 and not stopping:
                stopping = True
                child.request_stop()
            if left is not None and left <= -_TO_STOP:
                raise TimeLimitReached
            patience, asked = _patience(left, stopping), time.monotonic()
            message = child.next_message(patience)
            if message is None:
                silence += min(time.monotonic() - asked, patience)
                continue
            silence = 0.0
            if isinstance(message, Reply | Raised | Stopped):
                return message
            if isinstance(message, StageBegan):
                doing = message.name
                self._progress.stage(message.name, message.epochs)
            elif isinstance(message, EpochEnded):
                self._progress.epoch(message.done, message.loss)
            elif isinstance(message, Ended):
                raise EvaluatorDied(*child.obituary(_while(doing)))
            elif not isinstance(message, Alive):
                raise TypeError(f"not a message: {message!r}")


def _once_more(work: Callable[[], Any]) -> Any:
    """Retry essential work once if the child died, as it may have been killed from outside."""
    try:
        return work()
    except EvaluatorDied:
        return work()


def _check_sendable(request: Open) -> None:
    """Validate that all in-memory objects can be pickled.

    Raises:
        CannotBeSent: an object cannot be pickled; the message names it and the reason.
    """
    for provided in request.objects.values():
        for name, thing in provided.items():
            try:
                cloudpickle.dumps(thing)
            except Exception as error:  # __reduce__ may raise anything
                text = " ".join(str(error).split())
                raise CannotBeSent(
                    f"{name} cannot be sent to another process ({type(error).__name__}: {text})"
                ) from None


def _patience(left: float | None, stopping: bool) -> float:
    """Seconds to wait for a message before the deadline is checked again."""
    if left is None:
        return 1.0
    return min(1.0, max(0.01, left + _TO_STOP if stopping else left))


def _while(doing: str) -> str:
    return f" while {_DOING.get(doing, doing)}" if doing else ""


__all__ = ["ProcessBackend"]
