"""FPGM: channels that others can stand in for go, and not small ones."""

import torch_pruning
from torch import nn

from ..channels import Importance
from ..kind import Surroundings
from ..technique import Technique
from .criterion import Ranking


class Fpgm(Ranking):
    """The sum of distances to the other channels: the nearest to their geometric median go."""

    technique = Technique(
        name="fpgm",
        title="nearest to the geometric median of the others",
        replaces="channels of a group",
        saves="what the ratio says",
        paper="FPGM, He et al. 2019",
        link="https://arxiv.org/abs/1811.00250",
    )

    def importance(self, network: nn.Module, around: Surroundings) -> Importance:
        # p is the power to which weights are raised before their distances are taken: the paper
        # takes those of the weights as they are.
        scorer: Importance = torch_pruning.importance.FPGMImportance(p=1)
        return scorer
