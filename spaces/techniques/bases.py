"""What several techniques share: options that are names or shares, and notes for pruning."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from ...errors import PlanError, UnknownName
from ...lazy_imports import nn
from ..criteria import CRITERIA
from ..graph.blueprint import WHOLE, Blueprint, Cutting
from ..technique import Kind, Phase, Surroundings, Technique, Value


class NamedKind(Kind):
    """A kind that offers "original" and some names.

    Attributes:
        untouched: what "original" means, in words.
        titles: option -> what it is, in words.
        technique: what all options but "original" share; its name and title are theirs.
    """

    neutral = "original"
    untouched: ClassVar[str]
    titles: ClassVar[Mapping[str, str]]
    technique: ClassVar[Technique]

    def default_options(self) -> tuple[Value, ...]:
        return (self.neutral,)

    def techniques(self) -> Iterable[Technique]:
        yield Technique(str(self.neutral), self.untouched, "nothing", "nothing")
        for name, title in self.titles.items():
            yield replace(self.technique, name=name, title=title)

    def parse(self, value: object) -> Value:
        allowed = (str(self.neutral), *self.titles)
        if isinstance(value, str) and value in allowed:
            return value
        raise UnknownName(self.name, str(value), allowed, "paredown techniques")


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


def parse_fraction(value: object, what: str, *, low_open: bool, high_open: bool) -> float:
    """A number between 0 and 1.

    Args:
        value: what the user wrote.
        what: what it is, for the error: "a width".
        low_open, high_open: whether 0 and 1 themselves are excluded.

    Raises:
        PlanError: it is no such number.
    """
    bounds = f"{'above 0' if low_open else 'from 0'} {'to below 1' if high_open else 'to 1'}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PlanError(f"{what} is a number {bounds}, got {value!r}")
    low = value > 0 if low_open else value >= 0
    high = value < 1 if high_open else value <= 1
    if not (low and high):
        raise PlanError(f"{what} is a number {bounds}, got {value!r}")
    return float(value)
