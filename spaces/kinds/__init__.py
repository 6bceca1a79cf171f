"""The kinds of choice there are, in the order in which they act. One file each."""

from ..blocks import Blocks
from ..kind import Kind, Phase
from ..registry import Registry
from .bits import Bits
from .criterion import CriterionKind
from .depth import Depth
from .head import Head
from .neck import Neck
from .pruning import Pruning
from .quantizer import QuantizerKind
from .resolution import Resolution
from .rounding import Rounding
from .sparsity import Sparsity
from .steps import Steps
from .trunk import Trunk
from .width import Width

KINDS: Registry[Kind] = Registry("kind of choice", see="paredown techniques")
KINDS.register(Resolution())
KINDS.register(Depth())
KINDS.register(Neck())
KINDS.register(Head())
KINDS.register(Trunk())
KINDS.register(Width())
KINDS.register(Blocks())
KINDS.register(CriterionKind())
KINDS.register(Rounding())
KINDS.register(Steps())
KINDS.register(Pruning())
KINDS.register(Sparsity())
KINDS.register(Bits())
KINDS.register(QuantizerKind())


def kinds_of(phase: Phase) -> list[Kind]:
    """The kinds that act in a phase, in order."""
    return [kind for kind in KINDS if kind.phase is phase]
