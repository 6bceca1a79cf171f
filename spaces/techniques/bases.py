"""What several techniques share: options that are names or shares, and notes for pruning."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from ...errors import PlanError, UnknownName
from ...lazy_imports import nn
from ..criteria import CRITERIA
from ..graph.blueprint import WHOLE, Blueprint, PruningConfig
from ..technique import ApplyContext, Phase, Technique, TechniqueInfo, Value


class NamedTechnique(Technique):
    """A technique that offers "original" and some names.

    Attributes:
        neutral_title: what "original" means, in words.
        titles: option -> what it is, in words.
        info: what all options but "original" share; its name and title are theirs.
    """

    neutral = "original"
    neutral_title: ClassVar[str]
    titles: ClassVar[Mapping[str, str]]
    info: ClassVar[TechniqueInfo]

    def default_options(self) -> tuple[Value, ...]:
        return (self.neutral,)

    def infos(self) -> Iterable[TechniqueInfo]:
        yield TechniqueInfo(str(self.neutral), self.neutral_title, "nothing", "nothing")
        for name, title in self.titles.items():
            yield replace(self.info, name=name, title=title)

    def parse(self, value: object) -> Value:
        allowed = (str(self.neutral), *self.titles)
        if isinstance(value, str) and value in allowed:
            return value
        raise UnknownName(self.name, str(value), allowed, "paredown techniques")


class PruningOption(Technique):
    """A technique that notes its choice in the blueprint, where pruning reads it."""

    phase = Phase.PRUNE
    modifies = ("prune",)

    @abstractmethod
    def configured(self, pruning: PruningConfig, value: Value) -> PruningConfig:
        """How channels are cut, with this option."""

    def default_options(self) -> tuple[Value, ...]:
        return (self.neutral,)

    def places(self, blueprint: Blueprint, value: Value) -> Sequence[str]:
        return (WHOLE,) if blueprint.groups else ()

    def predict_graph(self, blueprint: Blueprint, chosen: Mapping[str, Value]) -> Blueprint:
        if WHOLE not in chosen:
            return blueprint
        return replace(blueprint, pruning=self.configured(blueprint.pruning, chosen[WHOLE]))

    def apply(
        self,
        network: nn.Module,
        blueprint: Blueprint,
        chosen: Mapping[str, Value],
        context: ApplyContext,
    ) -> nn.Module:
        return network


class PruningTechnique(Technique):
    """A technique that makes channel groups as small as it predicts; the least by L1 norm go."""

    def apply(
        self,
        network: nn.Module,
        blueprint: Blueprint,
        chosen: Mapping[str, Value],
        context: ApplyContext,
    ) -> nn.Module:
        after = self.predict_graph(blueprint, chosen)
        return CRITERIA.get("l1").cut(network, blueprint, after, context)


def parse_fraction(value: object, subject: str, *, low_open: bool, high_open: bool) -> float:
    """A number between 0 and 1.

    Args:
        value: what the user wrote.
        subject: what it is, for the error: "a width".
        low_open, high_open: whether 0 and 1 themselves are excluded.

    Raises:
        PlanError: it is no such number.
    """
    bounds = f"{'above 0' if low_open else 'from 0'} {'to below 1' if high_open else 'to 1'}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PlanError(f"{subject} is a number {bounds}, got {value!r}")
    low = value > 0 if low_open else value >= 0
    high = value < 1 if high_open else value <= 1
    if not (low and high):
        raise PlanError(f"{subject} is a number {bounds}, got {value!r}")
    return float(value)
