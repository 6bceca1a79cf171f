"""The multiple to which pruning rounds channel counts, chosen once for the network."""

from collections.abc import Iterable
from dataclasses import replace

from ...errors import PlanError
from ..graph.blueprint import PruningConfig
from ..graph.channel_rounding import MULTIPLES
from ..technique import TechniqueInfo, Value
from .bases import PruningOption


class Rounding(PruningOption):
    """The multiple of channels: up to 8, depending on the size of the group."""

    name = "round"
    title = "multiple to which pruning rounds the remaining channels"
    neutral = float(max(MULTIPLES))

    def infos(self) -> Iterable[TechniqueInfo]:
        yield TechniqueInfo(
            name=", ".join(f"{multiple}" for multiple in MULTIPLES),
            title="at most 8 in groups of 64 or more channels, 4 in groups of 16 or more, else 1; "
            "hardware gains no speed from odd widths",
            replaces="nothing",
            saves="nothing",
        )

    def parse(self, value: object) -> Value:
        if isinstance(value, bool) or value not in list(MULTIPLES):  # a list has no hash
            allowed = ", ".join(f"{multiple}" for multiple in MULTIPLES)
            raise PlanError(f"expected a multiple of {allowed} channels, got {value!r}")
        return float(value)

    def configured(self, pruning: PruningConfig, value: Value) -> PruningConfig:
        return replace(pruning, multiple=int(value))
