"""Pruning by the scales of batch norm.

Liu et al.: Learning Efficient Convolutional Networks through Network Slimming (2017),
https://arxiv.org/abs/1708.06519. Deviation: the scales are not trained with an L1 penalty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy_imports import nn, torch, torch_pruning
from ..technique import ApplyContext, TechniqueInfo
from .criterion import Ranking

if TYPE_CHECKING:
    from ..pruning.dependencies import Importance


class BatchNormScale(Ranking):
    """The absolute scale of batch norm; groups without batch norm are ranked by L1 norm."""

    info = TechniqueInfo(
        name="bn-scale",
        title="smallest absolute scale in batch norm",
        replaces="nothing",
        saves="nothing",
        paper="Network Slimming, Liu et al. 2017",
        link="https://arxiv.org/abs/1708.06519",
    )

    def importance(self, network: nn.Module, context: ApplyContext) -> Importance:
        return _first_that_scores(
            torch_pruning.importance.BNScaleImportance(),
            torch_pruning.importance.GroupMagnitudeImportance(p=1),
        )


def _first_that_scores(*scorers: Importance) -> Importance:
    """Return a scorer that tries several in turn until one returns scores for the group."""

    def score(group: object) -> torch.Tensor | None:
        for scorer in scorers:
            scores = scorer(group)
            if scores is not None:
                return scores
        return None

    return score
