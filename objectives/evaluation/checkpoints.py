"""Checkpoints of a plan during training, and early stopping of poor plans.

Successive halving (Jamieson and Talwalkar 2016, https://arxiv.org/abs/1502.07943) calls checkpoints
rungs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...spaces.plan import Plan


@dataclass(frozen=True)
class Checkpoint:
    """The drop of a plan's network during its training.

    Attributes:
        stage: "assemble", "train", "prune", "fine-tune" or "quantize".
        epoch: completed epochs of that stage.
        drop: accuracy drop on the search split, in percentage points.
    """

    stage: str
    epoch: int
    drop: float

    @property
    def name(self) -> str:
        """The name of the checkpoint: "train 3"."""
        return f"{self.stage} {self.epoch}"


class EarlyStopper:
    """Base class of early stopping, which never stops a plan.

    :meth:`should_check` is called after "assemble", after "prune" and after every epoch of "train"
    and "fine-tune", unless the stage is cached. If it returns True, the network is evaluated on the
    search split and :meth:`should_stop` is called with the checkpoint.
    """

    def should_check(self, stage: str, epoch: int, epochs: int) -> bool:
        """Return whether to evaluate the network now, which takes a pass over the search split.

        Args:
            stage: the current stage.
            epoch: completed epochs of the stage.
            epochs: all epochs of the stage.
        """
        return False

    def should_stop(self, plan: Plan, checkpoint: Checkpoint) -> bool:
        """Return whether to stop the plan at this checkpoint."""
        return False


NO_EARLY_STOPPING = EarlyStopper()


class EarlyStopped(Exception):
    """Raised if an early stopper stops a plan.

    Attributes:
        checkpoint: the checkpoint at which the plan was stopped.
        seconds: stage -> elapsed seconds.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(
            f"stopped at {checkpoint.name} with a drop of {checkpoint.drop:+.2f} points"
        )
        self.checkpoint = checkpoint
        self.seconds: Mapping[str, float] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return EarlyStopped, (self.checkpoint,), {"seconds": dict(self.seconds)}
