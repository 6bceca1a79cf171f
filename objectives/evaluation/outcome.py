"""What evaluating a plan gave."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ...spaces.plan import Plan
from ..accuracy.confidence import PairedDrop
from ..cost.cost import Cost
from .checkpoints import Checkpoint


@dataclass(frozen=True)
class Outcome:
    """A plan's worth on one set of images.

    Attributes:
        plan: what was evaluated.
        cost: what it costs, measured on the built network.
        accuracy: percent, on the images of the split.
        drop: the baseline's accuracy on the same images minus this, in percentage points.
        seconds: stage -> how long it took; what came from the cache is left out.
        checkpoints: how well it did on the way, where that was looked at.
        paired: image by image beside the baseline.
    """

    plan: Plan
    cost: Cost
    accuracy: float
    drop: float
    seconds: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    checkpoints: tuple[Checkpoint, ...] = ()
    paired: PairedDrop | None = None
