"""Choice of the evaluation backend for a task."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ...lazy_imports import torch
from ...objectives.evaluation.task_spec import TaskSpec
from ...objectives.training.cache import Cache
from ...objectives.training.progress import Progress
from .backend import EvaluationBackend, TaskSummary
from .given_objects import CannotBeSent
from .process import ProcessBackend


@contextmanager
def opened_backend(
    spec: TaskSpec,
    cache: Cache,
    progress: Progress,
    *,
    threads: int | None,
    stall: float,
    deadline: float | None = None,
) -> Iterator[tuple[EvaluationBackend, TaskSummary]]:
    """Open a backend in another process, or in this one if an object cannot be sent.

    Args:
        spec: specification of the task.
        cache: cache of trained networks.
        progress: notified of stages and epochs.
        threads: number of torch's threads; by default as in this process.
        stall: seconds without progress after which an evaluation is killed.
        deadline: deadline of opening, by `time.monotonic`.

    Raises:
        InputError, EvaluatorDied, TimeLimitReached: as in `EvaluationBackend.open`.
    """
    backend: EvaluationBackend | None = None
    try:
        try:
            backend = ProcessBackend(spec, cache, progress, threads or _threads_here(), stall)
            backend.deadline = deadline
            summary = backend.open()
        except CannotBeSent as error:
            from .in_process import InProcessBackend

            backend = InProcessBackend(spec, cache, progress, threads, reason=str(error))
            backend.deadline = deadline
            summary = backend.open()
        with backend.predicting():
            yield backend, summary
    finally:
        if backend is not None:
            backend.close()


def _threads_here() -> int | None:
    """Number of torch's threads in this process; None if torch is not imported."""
    return torch.get_num_threads() if "torch" in sys.modules else None
