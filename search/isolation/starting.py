"""Which backend evaluates the plans of a task."""

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
    """A backend in another process, if that can be given all that the task needs, else in this one.

    Args:
        spec: of the task.
        cache: where trained networks are kept.
        progress: is told of stages and epochs.
        threads: that torch computes with; as many as here, if not given.
        stall: seconds without a step after which an evaluation counts as stuck.
        deadline: when to give up, by `time.monotonic`.

    Raises:
        InputError, EvaluatorDied, TimeLimitReached: as `EvaluationBackend.open`.
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
    """With how many threads torch computes in this process; None if it was not imported."""
    return torch.get_num_threads() if "torch" in sys.modules else None
