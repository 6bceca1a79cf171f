"""To which multiple pruning rounds the channels that stay, chosen once for the network."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ...errors import PlanError
from ..blueprint import WHOLE, Blueprint
from ..kind import Phase, Value
from ..rounding import MULTIPLES
from ..technique import Technique
from .manner import Manner


class Rounding(Manner):
    """The multiple: 8 where a group is wide enough, or less."""

    name = "round"
    title = "to which multiple pruning rounds the channels that stay"
    phase = Phase.PRUNE
    neutral = float(max(MULTIPLES))
    tunes = ("prune",)

    def default_options(self) -> tuple[Value, ...]:
        return (self.neutral,)

    def techniques(self) -> Iterable[Technique]:
        yield Technique(
            name=", ".join(f"{multiple}" for multiple in MULTIPLES),
            title="8 in groups of 64 channels or more, 4 from 16 on: odd widths give no speed",
            replaces="nothing",
            saves="nothing",
        )

    def parse(self, value: object) -> Value:
        if isinstance(value, bool) or value not in list(MULTIPLES):  # a list has no hash
            allowed = ", ".join(f"{multiple}" for multiple in MULTIPLES)
            raise PlanError(f"channels are rounded to a multiple of {allowed}; got {value!r}")
        return float(value)

    def places(self, blueprint: Blueprint, value: Value) -> Sequence[str]:
        return (WHOLE,) if blueprint.groups else ()

    def foretell(self, blueprint: Blueprint, chosen: Mapping[str, Value]) -> Blueprint:
        if WHOLE not in chosen:
            return blueprint
        cutting = replace(blueprint.cutting, multiple=int(chosen[WHOLE]))
        return replace(blueprint, cutting=cutting)
