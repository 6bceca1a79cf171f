"""The compression techniques, one per file. `TECHNIQUES` holds an instance of each, in the order
in which they are applied; a new technique is a new file that is registered here."""

from ...registry import Registry
from ..technique import Phase, Technique
from .bits import Bits
from .block import Blocks
from .criterion_choice import CriterionTechnique
from .depth import Depth
from .head import Head
from .neck import Neck
from .prune import Pruning
from .quantizer_choice import QuantizerTechnique
from .resolution import Resolution
from .round import Rounding
from .sparsity import Sparsity
from .steps import Steps
from .trunk import Trunk
from .width import Width

TECHNIQUES: Registry[Technique] = Registry("technique", see="paredown techniques")
TECHNIQUES.register(Resolution())
TECHNIQUES.register(Depth())
TECHNIQUES.register(Neck())
TECHNIQUES.register(Head())
TECHNIQUES.register(Trunk())
TECHNIQUES.register(Width())
TECHNIQUES.register(Blocks())
TECHNIQUES.register(CriterionTechnique())
TECHNIQUES.register(Rounding())
TECHNIQUES.register(Steps())
TECHNIQUES.register(Pruning())
TECHNIQUES.register(Sparsity())
TECHNIQUES.register(Bits())
TECHNIQUES.register(QuantizerTechnique())


def techniques_in(phase: Phase) -> list[Technique]:
    """Return the techniques of a phase, in order of application."""
    return [technique for technique in TECHNIQUES if technique.phase is phase]
