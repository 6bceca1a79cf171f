"""Which channels pruning removes: a criterion, chosen once for the network."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ...errors import PlanError
from ..blueprint import WHOLE, Blueprint
from ..criteria import CRITERIA
from ..kind import Phase, Value
from ..technique import Technique
from .manner import Manner


class CriterionKind(Manner):
    """The criterion that says which channels matter least."""

    name = "criterion"
    title = "which channels pruning removes"
    phase = Phase.PRUNE
    neutral = "l1"
    tunes = ("prune",)

    def default_options(self) -> tuple[Value, ...]:
        return (self.neutral,)

    def techniques(self) -> Iterable[Technique]:
        return (criterion.technique for criterion in CRITERIA)

    def parse(self, value: object) -> Value:
        if not isinstance(value, str):
            raise PlanError(f"expected a pruning criterion such as 'taylor', got {value!r}")
        return CRITERIA.get(value).name

    def extra(self, value: Value) -> str:
        return CRITERIA.get(str(value)).technique.extra

    def places(self, blueprint: Blueprint, value: Value) -> Sequence[str]:
        return (WHOLE,) if blueprint.groups else ()

    def foretell(self, blueprint: Blueprint, chosen: Mapping[str, Value]) -> Blueprint:
        if WHOLE not in chosen:
            return blueprint
        cutting = replace(blueprint.cutting, criterion=str(chosen[WHOLE]))
        return replace(blueprint, cutting=cutting)
