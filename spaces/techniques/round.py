"""To which multiple pruning rounds the channels that stay, chosen once for the network."""

from collections.abc import Iterable
from dataclasses import replace

from ...errors import PlanError
from ..graph.blueprint import PruningConfig
from ..graph.channel_rounding import MULTIPLES
from ..technique import TechniqueInfo, Value
from .bases import PruningOption


class Rounding(PruningOption):
    """The multiple: 8 where a group is wide enough, or less."""

    name = "round"
    title = "to which multiple pruning rounds the channels that stay"
    neutral = float(max(MULTIPLES))

    def infos(self) -> Iterable[TechniqueInfo]:
        yield TechniqueInfo(
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

    def configured(self, pruning: PruningConfig, value: Value) -> PruningConfig:
        return replace(pruning, multiple=int(value))
