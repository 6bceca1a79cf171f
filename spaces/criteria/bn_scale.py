"""Batch norm's scales: channels that the network itself has turned down go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy_imports import nn, torch, torch_pruning
from ..technique import ApplyContext, TechniqueInfo
from .criterion import Ranking

if TYPE_CHECKING:
    from ..pruning.dependencies import Importance


class BatchNormScale(Ranking):
    """The absolute scales of batch norm; groups without any are ranked by their weights (L1)."""

    info = TechniqueInfo(
        name="bn-scale",
        title="smallest scale in batch norm",
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
    """A scorer that asks several in turn, until one has figures for the group."""

    def score(group: object) -> torch.Tensor | None:
        for scorer in scorers:
            scores = scorer(group)
            if scores is not None:
                return scores
        return None

    return score
