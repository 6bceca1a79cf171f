"""LAMP: magnitude relative to the remaining weights.

Lee et al.: Layer-adaptive Sparsity for the Magnitude-based Pruning (2021),
https://arxiv.org/abs/2010.07611. Deviation: applied to channels instead of single weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy_imports import nn, torch_pruning
from ..technique import ApplyContext, TechniqueInfo
from .criterion import Ranking

if TYPE_CHECKING:
    from ..pruning.dependencies import Importance


class Lamp(Ranking):
    """Squared weights divided by the sum of all squared weights that are at least as large.

    The score makes groups comparable. Within a group it orders channels by magnitude, and because
    the number of channels per group is fixed here, it selects the same channels as `l2`.
    """

    info = TechniqueInfo(
        name="lamp",
        title="smallest share of the remaining squared weights; same order as l2 within a group",
        replaces="nothing",
        saves="nothing",
        paper="LAMP, Lee et al. 2021",
        link="https://arxiv.org/abs/2010.07611",
    )

    def importance(self, network: nn.Module, context: ApplyContext) -> Importance:
        scorer: Importance = torch_pruning.importance.LAMPImportance()
        return scorer
