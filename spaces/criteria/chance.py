"""Chance: what every criterion has to beat."""

from torch import nn

from ..channels import Importance
from ..kind import Surroundings
from ..technique import Technique
from .criterion import Ranking


class Chance(Ranking):
    """Scattered channels, the same every time, whatever their weights are."""

    technique = Technique(
        name="random",
        title="scattered channels: what every criterion has to beat",
        replaces="nothing",
        saves="nothing",
    )

    def importance(self, network: nn.Module, around: Surroundings) -> Importance | None:
        return None
