"""Pruning criteria, one per file: which channels of a group to remove. A new criterion is a new
file that is registered here."""

from ...registry import Registry
from ..nni import PRUNERS
from .bn_scale import BatchNormScale
from .chance import Chance
from .criterion import Criterion, Ranking
from .fpgm import Fpgm
from .hessian import Hessian
from .lamp import Lamp
from .magnitude import L1, L2
from .nni_criterion import NniCriterion
from .taylor import Taylor

CRITERIA: Registry[Criterion] = Registry("pruning criterion", see="paredown techniques")
for _criterion in (L1(), L2(), BatchNormScale(), Fpgm(), Lamp(), Taylor(), Hessian(), Chance()):
    CRITERIA.register(_criterion)
for _name in PRUNERS:
    CRITERIA.register(NniCriterion(_name))

__all__ = ["CRITERIA", "Criterion", "Ranking"]
