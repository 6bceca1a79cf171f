"""LAMP: magnitude, measured against what would be left of the layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy_imports import nn, torch_pruning
from ..technique import ApplyContext, TechniqueInfo
from .criterion import Ranking

if TYPE_CHECKING:
    from ..pruning.dependencies import Importance


class Lamp(Ranking):
    """Squared weights over the sum of those at least as large.

    The score makes groups comparable. Within one group it orders channels as their magnitude does,
    and how many each group loses is predicted, so that it chooses the channels that `l2` does.
    """

    info = TechniqueInfo(
        name="lamp",
        title="smallest share of the squared weights that would be left",
        replaces="nothing",
        saves="nothing",
        paper="LAMP, Lee et al. 2021",
        link="https://arxiv.org/abs/2010.07611",
    )

    def importance(self, network: nn.Module, context: ApplyContext) -> Importance:
        scorer: Importance = torch_pruning.importance.LAMPImportance()
        return scorer
