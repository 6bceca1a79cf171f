"""Base classes that several techniques share, and the parsing of fractions."""

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
    """Base class for techniques whose options are names, "original" among them.

    Attributes:
        neutral_title: the title of "original".
        titles: option -> title, without "original".
        info: the record of all other options, whose names and titles replace its own.
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
    """Base class for options of pruning: the choice is stored in `Blueprint.pruning`."""

    phase = Phase.PRUNE
    modifies = ("prune",)

    @abstractmethod
    def configured(self, pruning: PruningConfig, value: Value) -> PruningConfig:
        """Return the pruning configuration with this option set."""

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
    """Base class for techniques that shrink channel groups, smallest L1 norm first.

    Subclasses implement `predict_graph`; the cut follows from the predicted group sizes.
    """

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
    """Parse a number between 0 and 1.

    Args:
        value: the user's value.
        subject: the noun for the error message: "a width".
        low_open, high_open: whether 0 and 1 are excluded.

    Raises:
        PlanError: not a number in these bounds.
    """
    low_bound = "above 0" if low_open else "of at least 0"
    bounds = f"{low_bound} and {'below 1' if high_open else 'at most 1'}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PlanError(f"expected {subject} {bounds}, got {value!r}")
    low = value > 0 if low_open else value >= 0
    high = value < 1 if high_open else value <= 1
    if not (low and high):
        raise PlanError(f"expected {subject} {bounds}, got {value!r}")
    return float(value)
