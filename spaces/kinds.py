"""The kinds of choice there are, in the order in which they act."""

from .blocks import Blocks
from .kind import Kind, Phase
from .pruning import Pruning
from .quantization import Bits
from .registry import Registry
from .width import Width

KINDS: Registry[Kind] = Registry("kind of choice", see="paredown techniques")
KINDS.register(Width())
KINDS.register(Blocks())
KINDS.register(Pruning())
KINDS.register(Bits())


def kinds_of(phase: Phase) -> list[Kind]:
    """The kinds that act in a phase, in order."""
    return [kind for kind in KINDS if kind.phase is phase]
