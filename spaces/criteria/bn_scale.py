"""Batch norm's scales: channels that the network itself has turned down go."""

import torch_pruning
from torch import nn

from ..channels import Importance
from ..kind import Surroundings
from ..technique import Technique
from .criterion import Ranking
from .fallback import first_that_scores


class BatchNormScale(Ranking):
    """The absolute scales of batch norm; groups without any are ranked by their weights (L1)."""

    technique = Technique(
        name="bn-scale",
        title="smallest scale in batch norm",
        replaces="nothing",
        saves="nothing",
        paper="Network Slimming, Liu et al. 2017",
        link="https://arxiv.org/abs/1708.06519",
    )

    def importance(self, network: nn.Module, around: Surroundings) -> Importance:
        return first_that_scores(
            torch_pruning.importance.BNScaleImportance(),
            torch_pruning.importance.GroupMagnitudeImportance(p=1),
        )
