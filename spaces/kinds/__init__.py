"""The kinds of choice there are, in the order in which they act. One file each."""

from ..blocks import Blocks
from ..kind import Kind, Phase
from ..registry import Registry
from .depth import Depth
from .head import Head
from .neck import Neck
from .pruning import Pruning
from .quantization import Bits
from .resolution import Resolution
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
KINDS.register(Pruning())
KINDS.register(Bits())


def kinds_of(phase: Phase) -> list[Kind]:
    """The kinds that act in a phase, in order."""
    return [kind for kind in KINDS if kind.phase is phase]
