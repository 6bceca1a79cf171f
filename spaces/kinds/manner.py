"""Kinds that say how pruning acts, chosen once for the network, and do nothing themselves."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...lazy_imports import nn
from ..blueprint import WHOLE, Blueprint, Cutting
from ..kind import Kind, Phase, Surroundings, Value


class Manner(Kind):
    """A kind that notes its choice in the blueprint, where pruning reads it."""

    phase = Phase.PRUNE
    tunes = ("prune",)

    @abstractmethod
    def noted(self, cutting: Cutting, value: Value) -> Cutting:
        """How channels are cut, with this option."""

    def default_options(self) -> tuple[Value, ...]:
        return (self.neutral,)

    def places(self, blueprint: Blueprint, value: Value) -> Sequence[str]:
        return (WHOLE,) if blueprint.groups else ()

    def foretell(self, blueprint: Blueprint, chosen: Mapping[str, Value]) -> Blueprint:
        if WHOLE not in chosen:
            return blueprint
        return replace(blueprint, cutting=self.noted(blueprint.cutting, chosen[WHOLE]))

    def apply(
        self,
        network: nn.Module,
        blueprint: Blueprint,
        chosen: Mapping[str, Value],
        around: Surroundings,
    ) -> nn.Module:
        return network
