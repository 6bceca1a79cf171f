"""Which backend evaluates the plans of a task."""

import torch

from ...objectives.cache import Cache
from ...objectives.progress import Progress
from ...objectives.task_spec import TaskSpec
from .backend import EvaluationBackend
from .given_objects import CannotBeSent
from .in_process import InProcessBackend
from .process import ProcessBackend


def make_backend(
    spec: TaskSpec, cache: Cache, progress: Progress, threads: int | None, stall: float
) -> EvaluationBackend:
    """A backend in another process, if that can be given all that the task needs, else in this one.

    Args:
        spec: of the task.
        cache: where trained networks are kept.
        progress: is told of stages and epochs.
        threads: that torch computes with; as many as here, if not given.
        stall: seconds without a step after which an evaluation counts as stuck.
    """
    count = threads or torch.get_num_threads()
    try:
        return ProcessBackend(spec, cache, progress, count, stall)
    except CannotBeSent as error:
        return InProcessBackend(spec, cache, progress, count, reason=str(error))
