"""Magnitude: pruning of the channels with the smallest weights.

L1: Li et al.: Pruning Filters for Efficient ConvNets (2017), https://arxiv.org/abs/1608.08710.
L2: He et al.: Soft Filter Pruning (2018), https://arxiv.org/abs/1808.06866. Deviation: the sums
include all layers that lose the channel, not only the one that writes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy_imports import nn, torch_pruning
from ..technique import ApplyContext, TechniqueInfo
from .criterion import Ranking

if TYPE_CHECKING:
    from ..pruning.dependencies import Importance


class L1(Ranking):
    """The sum of absolute weights over all layers that lose the channel."""

    info = TechniqueInfo(
        name="l1",
        title="smallest sum of absolute weights",
        replaces="nothing",
        saves="nothing",
        paper="Pruning Filters, Li et al. 2017",
        link="https://arxiv.org/abs/1608.08710",
    )

    def importance(self, network: nn.Module, context: ApplyContext) -> Importance:
        scorer: Importance = torch_pruning.importance.GroupMagnitudeImportance(p=1)
        return scorer


class L2(Ranking):
    """The sum of squared weights over all layers that lose the channel."""

    info = TechniqueInfo(
        name="l2",
        title="smallest sum of squared weights",
        replaces="nothing",
        saves="nothing",
        paper="Soft Filter Pruning, He et al. 2018",
        link="https://arxiv.org/abs/1808.06866",
    )

    def importance(self, network: nn.Module, context: ApplyContext) -> Importance:
        scorer: Importance = torch_pruning.importance.GroupMagnitudeImportance(p=2)
        return scorer
