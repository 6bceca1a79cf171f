"""What plans choose among, in the order in which it acts. One technique a file.
`KINDS` holds one object of each; a new technique is a new file that is registered here."""

from ...registry import Registry
from ..technique import Kind, Phase
from .bits import Bits
from .block import Blocks
from .criterion_choice import CriterionKind
from .depth import Depth
from .head import Head
from .neck import Neck
from .prune import Pruning
from .quantizer_choice import QuantizerKind
from .resolution import Resolution
from .round import Rounding
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
