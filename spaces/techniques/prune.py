"""Structured channel pruning of a trained network, followed by fine-tuning.

Li et al.: Pruning Filters for Efficient ConvNets (2017), https://arxiv.org/abs/1608.08710,
extended to whole networks by Torch-Pruning's dependency graph (Fang et al. 2023,
https://arxiv.org/abs/2301.12900). The ratio is the fraction of a stage's channels that is removed.
Channels are removed from the tensors, not zeroed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ...lazy_imports import nn
from ..criteria import CRITERIA
from ..graph.blueprint import Blueprint
from ..pruning.shrink import shrunk, stages_with_groups
from ..technique import BETWEEN, ApplyContext, Phase, Technique, TechniqueInfo, Value
from .bases import parse_fraction


class Pruning(Technique):
    """The fraction of a stage's channels that is removed after training."""

    name = "prune"
    title = "fraction of a stage's channels removed after training"
    phase = Phase.PRUNE
    neutral = 0.0

    def default_options(self) -> tuple[Value, ...]:
        return (0.0, 0.25, 0.5)

    def infos(self) -> Iterable[TechniqueInfo]:
        yield TechniqueInfo(
            name="0 <= prune < 1",
            title="structured channel pruning",
            replaces="channels of a stage",
            saves="about 4x of params and FLOPs at 0.5",
            paper="DepGraph, Fang et al. 2023",
            link="https://arxiv.org/abs/2301.12900",
        )

    def parse(self, value: object) -> Value:
        return parse_fraction(value, "a pruning ratio", low_open=False, high_open=True)

    def places(self, blueprint: Blueprint, value: Value) -> Sequence[str]:
        return stages_with_groups(blueprint)

    def predict_graph(self, blueprint: Blueprint, chosen: Mapping[str, Value]) -> Blueprint:
        return _shrunk(blueprint, chosen, 1.0)

    def apply(
        self,
        network: nn.Module,
        blueprint: Blueprint,
        chosen: Mapping[str, Value],
        context: ApplyContext,
    ) -> nn.Module:
        criterion = CRITERIA.get(blueprint.pruning.criterion)
        before = blueprint
        for after in _steps(blueprint, chosen):
            if before is not blueprint:
                context.tune(network, BETWEEN)
            network = criterion.cut(network, before, after, context)
            before = after
        return network


def _steps(blueprint: Blueprint, chosen: Mapping[str, Value]) -> Iterator[Blueprint]:
    """Yield the blueprint after each cut; each cut removes about the same number of channels."""
    steps = blueprint.pruning.steps
    before = blueprint
    for step in range(1, steps + 1):
        after = _shrunk(blueprint, chosen, step / steps)
        if after.sizes != before.sizes:
            yield after
        before = after


def _shrunk(blueprint: Blueprint, chosen: Mapping[str, Value], share: float) -> Blueprint:
    """Return the blueprint after a share of the total removal."""
    keep = {stage: 1 - share * float(ratio) for stage, ratio in chosen.items()}
    return shrunk(blueprint, keep, blueprint.pruning.multiple)
