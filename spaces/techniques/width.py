"""Width multiplier: fewer channels per stage, before training.

Howard et al.: MobileNets (2017), https://arxiv.org/abs/1704.04861, section 3.3. Deviations: the
multiplier is per stage, and the remaining channels are the baseline's with the largest L1 norm and
keep their weights.
"""

from collections.abc import Iterable, Mapping, Sequence

from ..graph.blueprint import Blueprint
from ..pruning.shrink import shrunk, stages_with_groups
from ..technique import Phase, TechniqueInfo, Value
from .bases import PruningTechnique, parse_fraction


class Width(PruningTechnique):
    """The fraction of a stage's channels that remains before training."""

    name = "width"
    title = "fraction of a stage's channels that remains, before training"
    phase = Phase.STRUCTURE
    neutral = 1.0

    def default_options(self) -> tuple[Value, ...]:
        return (1.0, 0.75, 0.5, 0.25)

    def infos(self) -> Iterable[TechniqueInfo]:
        yield TechniqueInfo(
            name="0 < width <= 1",
            title="width multiplier",
            replaces="layers of a stage",
            saves="about 4x of params and FLOPs at 0.5",
            paper="MobileNets, Howard et al. 2017",
            link="https://arxiv.org/abs/1704.04861",
        )

    def parse(self, value: object) -> Value:
        return parse_fraction(value, "a width", low_open=True, high_open=False)

    def places(self, blueprint: Blueprint, value: Value) -> Sequence[str]:
        return stages_with_groups(blueprint)

    def predict_graph(self, blueprint: Blueprint, chosen: Mapping[str, Value]) -> Blueprint:
        return shrunk(blueprint, {stage: float(width) for stage, width in chosen.items()})
