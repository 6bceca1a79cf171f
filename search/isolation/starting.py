"""Which backend evaluates the plans of a task."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ...objectives.cache import Cache
from ...objectives.progress import Progress
from ...objectives.task_spec import TaskSpec
from .backend import EvaluationBackend, TaskSummary
from .given_objects import CannotBeSent
from .in_process import InProcessBackend
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
    count = threads or torch.get_num_threads()
    backend: EvaluationBackend | None = None
    try:
        try:
            backend = ProcessBackend(spec, cache, progress, count, stall)
            backend.deadline = deadline
            summary = backend.open()
        except CannotBeSent as error:
            backend = InProcessBackend(spec, cache, progress, count, reason=str(error))
            backend.deadline = deadline
            summary = backend.open()
        yield backend, summary
    finally:
        if backend is not None:
            backend.close()
