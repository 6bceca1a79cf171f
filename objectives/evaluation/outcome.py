"""The result of evaluating a plan."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ...spaces.plan import Plan
from ..accuracy.confidence import PairedDrop
from ..cost.cost import Cost
from .checkpoints import Checkpoint


@dataclass(frozen=True)
class Outcome:
    """The result of a plan on one split.

    Attributes:
        plan: the evaluated plan.
        cost: the cost, measured on the built network.
        accuracy: accuracy on the split in percent.
        drop: the baseline's accuracy minus this accuracy, in percentage points.
        seconds: stage -> duration; without cached stages.
        checkpoints: the evaluated checkpoints.
        paired: the paired comparison with the baseline.
    """

    plan: Plan
    cost: Cost
    accuracy: float
    drop: float
    seconds: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    checkpoints: tuple[Checkpoint, ...] = ()
    paired: PairedDrop | None = None
