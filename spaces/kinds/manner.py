"""Kinds that say how another kind acts, and do nothing themselves."""

from collections.abc import Mapping

from torch import nn

from ..blueprint import Blueprint
from ..kind import Kind, Surroundings, Value


class Manner(Kind):
    """A kind that notes its choice in the blueprint, for the kinds that it `tunes`."""

    def apply(
        self,
        network: nn.Module,
        blueprint: Blueprint,
        chosen: Mapping[str, Value],
        around: Surroundings,
    ) -> nn.Module:
        return network
