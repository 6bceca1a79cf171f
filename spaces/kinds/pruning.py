"""Channel pruning: a trained network loses the channels that matter least, then is fine-tuned.

Li et al.: Pruning Filters for Efficient ConvNets (2017), https://arxiv.org/abs/1608.08710, made
whole-network by Torch-Pruning's dependency graph (Fang et al. 2023,
https://arxiv.org/abs/2301.12900). The ratio is the share of a stage's channels that is removed;
they are gone from the tensors, not zeroed.
"""

from collections.abc import Iterable, Mapping, Sequence

from ..blueprint import Blueprint
from ..cutting import CuttingKind, shrunk, stages_with_groups
from ..fraction import parse_fraction
from ..kind import Phase, Value
from ..technique import Technique


class Pruning(CuttingKind):
    """The share of a stage's channels that is removed after training."""

    name = "prune"
    title = "share of a stage's channels that is removed, after training"
    phase = Phase.PRUNE
    neutral = 0.0

    def default_options(self) -> tuple[Value, ...]:
        return (0.0, 0.25, 0.5)

    def techniques(self) -> Iterable[Technique]:
        yield Technique(
            name="0 <= prune < 1",
            title="structured channel pruning",
            replaces="channels of a stage",
            saves="0.5 about 4x of params and FLOPs",
            paper="DepGraph, Fang et al. 2023",
            link="https://arxiv.org/abs/2301.12900",
        )

    def parse(self, value: object) -> Value:
        return parse_fraction(value, "a pruning ratio", low_open=False, high_open=True)

    def places(self, blueprint: Blueprint, value: Value) -> Sequence[str]:
        return stages_with_groups(blueprint)

    def foretell(self, blueprint: Blueprint, chosen: Mapping[str, Value]) -> Blueprint:
        return shrunk(blueprint, {stage: 1 - float(ratio) for stage, ratio in chosen.items()})
