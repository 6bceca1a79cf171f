"""Looks at a plan while it is being trained, so that a poor one can stop early.

Successive halving (Jamieson and Talwalkar 2016, https://arxiv.org/abs/1502.07943) calls them rungs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...spaces.plan import Plan


@dataclass(frozen=True)
class Checkpoint:
    """How far a plan is, and how well it does there.

    Attributes:
        stage: what has been going on: "assemble", "train", "prune", "fine-tune" or "quantize".
        epoch: epochs of that stage that are done.
        drop: on the search split, in percentage points.
    """

    stage: str
    epoch: int
    drop: float

    @property
    def name(self) -> str:
        """As in "train 3"."""
        return f"{self.stage} {self.epoch}"


class EarlyStopper:
    """Decides at each checkpoint whether a plan goes on. This one lets all go on, and looks at
    none."""

    def should_check(self, stage: str, epoch: int, epochs: int) -> bool:
        """Whether to look at the plan after this epoch of a stage; a look costs one scoring."""
        return False

    def should_stop(self, plan: Plan, checkpoint: Checkpoint) -> bool:
        """Whether to stop the plan at this checkpoint."""
        return False


NO_EARLY_STOPPING = EarlyStopper()


class EarlyStopped(Exception):
    """An early stopper stopped a plan.

    Attributes:
        checkpoint: where.
        seconds: stage -> how long it took until then.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(
            f"stopped at {checkpoint.name} with a drop of {checkpoint.drop:+.2f} points"
        )
        self.checkpoint = checkpoint
        self.seconds: Mapping[str, float] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return EarlyStopped, (self.checkpoint,), {"seconds": dict(self.seconds)}
