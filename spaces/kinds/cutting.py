"""Kinds that make channel groups smaller before any training."""

from __future__ import annotations

from collections.abc import Mapping

from ...lazy_imports import nn
from ..blueprint import Blueprint
from ..criteria import CRITERIA
from ..kind import Kind, Surroundings, Value


class CuttingKind(Kind):
    """A kind that makes channel groups as small as it foretells; the least by L1 norm go."""

    def apply(
        self,
        network: nn.Module,
        blueprint: Blueprint,
        chosen: Mapping[str, Value],
        around: Surroundings,
    ) -> nn.Module:
        after = self.foretell(blueprint, chosen)
        return CRITERIA.get("l1").cut(network, blueprint, after, around)
