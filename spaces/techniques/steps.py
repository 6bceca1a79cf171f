"""In how many cuts pruning takes its channels away, chosen once for the network."""

from collections.abc import Iterable
from dataclasses import replace

from ...errors import PlanError
from ..graph.blueprint import PruningConfig
from ..technique import TechniqueInfo, Value
from .bases import PruningOption

_MOST = 16


class Steps(PruningOption):
    """One cut, or several with short training between."""

    name = "steps"
    title = "in how many cuts pruning goes, with short training between"
    neutral = 1.0
    shapes = False

    def infos(self) -> Iterable[TechniqueInfo]:
        yield TechniqueInfo(
            name=f"1 to {_MOST}",
            title="a quarter of the fine-tuning between two cuts, all of it after the last",
            replaces="nothing",
            saves="nothing",
            paper="Pruning Filters, Li et al. 2017",
            link="https://arxiv.org/abs/1608.08710",
        )

    def parse(self, value: object) -> Value:
        if isinstance(value, bool) or value not in range(1, _MOST + 1):
            raise PlanError(f"pruning goes in 1 to {_MOST} steps, got {value!r}")
        return float(value)  # type: ignore[arg-type]

    def configured(self, pruning: PruningConfig, value: Value) -> PruningConfig:
        return replace(pruning, steps=int(value))
