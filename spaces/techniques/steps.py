"""The number of pruning steps, chosen once for the network."""

from collections.abc import Iterable
from dataclasses import replace

from ...errors import PlanError
from ..graph.blueprint import PruningConfig
from ..technique import TechniqueInfo, Value
from .bases import PruningOption

_MOST = 16


class Steps(PruningOption):
    """One cut, or several with short training in between."""

    name = "steps"
    title = "number of pruning steps, with short training in between"
    neutral = 1.0
    shapes = False

    def infos(self) -> Iterable[TechniqueInfo]:
        yield TechniqueInfo(
            name=f"1 to {_MOST}",
            title="a quarter of the fine-tuning epochs between steps, all of them after the last",
            replaces="nothing",
            saves="nothing",
            paper="Pruning Filters, Li et al. 2017",
            link="https://arxiv.org/abs/1608.08710",
        )

    def parse(self, value: object) -> Value:
        if isinstance(value, bool) or value not in range(1, _MOST + 1):
            raise PlanError(f"expected 1 to {_MOST} pruning steps, got {value!r}")
        return float(value)  # type: ignore[arg-type]

    def configured(self, pruning: PruningConfig, value: Value) -> PruningConfig:
        return replace(pruning, steps=int(value))
