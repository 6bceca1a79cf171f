"""Chance: what every criterion has to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy_imports import nn
from ..technique import ApplyContext, TechniqueInfo
from .criterion import Ranking

if TYPE_CHECKING:
    from ..pruning.dependencies import Importance


class Chance(Ranking):
    """Scattered channels, the same every time, whatever their weights are."""

    info = TechniqueInfo(
        name="random",
        title="scattered channels: what every criterion has to beat",
        replaces="nothing",
        saves="nothing",
    )

    def importance(self, network: nn.Module, context: ApplyContext) -> Importance | None:
        return None
