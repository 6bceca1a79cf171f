"""Random pruning: the baseline for other criteria."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy_imports import nn
from ..technique import ApplyContext, TechniqueInfo
from .criterion import Ranking

if TYPE_CHECKING:
    from ..pruning.dependencies import Importance


class Chance(Ranking):
    """Random channels with a fixed seed, independent of the weights."""

    info = TechniqueInfo(
        name="random",
        title="random channels: the baseline for other criteria",
        replaces="nothing",
        saves="nothing",
    )

    def importance(self, network: nn.Module, context: ApplyContext) -> Importance | None:
        return None
