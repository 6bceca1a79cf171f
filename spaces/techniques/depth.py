"""Depth: removal of a stage's residual blocks whose input and output have the same shape.

Tan and Le: EfficientNet (2019), https://arxiv.org/abs/1905.11946, for depth scaling; Veit et al.:
Residual Networks Behave Like Ensembles (2016), https://arxiv.org/abs/1605.06431, for why single
blocks can be removed. Blocks are removed from the end of the stage.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from ...lazy_imports import nn
from ..graph.blueprint import Blueprint, Skipped
from ..graph.sites import find_blocks
from ..graph.structure import Shortcut
from ..graph.submodules import take_out
from ..technique import ApplyContext, Phase, Technique, TechniqueInfo, Value
from .bases import parse_fraction


class Depth(Technique):
    """The fraction of a stage's repeated residual blocks that remains."""

    name = "depth"
    title = "fraction of a stage's repeated residual blocks that remains"
    phase = Phase.STRUCTURE
    neutral = 1.0

    def default_options(self) -> tuple[Value, ...]:
        return (1.0, 0.5)

    def infos(self) -> Iterable[TechniqueInfo]:
        yield TechniqueInfo(
            name="0 <= depth <= 1",
            title="fewer residual blocks",
            replaces="repeated blocks of a stage",
            saves="about 1.6x of deep networks at 0.5",
            paper="EfficientNet, Tan and Le 2019",
            link="https://arxiv.org/abs/1905.11946",
        )

    def parse(self, value: object) -> Value:
        return parse_fraction(value, "a depth", low_open=False, high_open=False)

    def places(self, blueprint: Blueprint, value: Value) -> Sequence[str]:
        every = dict.fromkeys(blueprint.stages, value)
        gone = _gone(blueprint, every)
        stages = {site.stage for site in find_blocks(blueprint) if site.name in gone}
        return tuple(stage for stage in blueprint.stages if stage in stages)

    def skipped(self, blueprint: Blueprint, options: Sequence[Value]) -> Iterator[Skipped]:
        if not any(self.places(blueprint, value) for value in options):
            reason = "no stage repeats residual blocks of the same shape"
            yield Skipped(self.name, "the network", reason)

    def predict_graph(self, blueprint: Blueprint, chosen: Mapping[str, Value]) -> Blueprint:
        gone = _gone(blueprint, chosen)
        marks = blueprint.structure
        names = {layer for name in gone for layer in blueprint.under(name)}
        blocks = tuple(block for block in marks.blocks if block.name not in gone)
        shorter = blueprint.without_layers(names)
        return replace(shorter, structure=replace(marks, blocks=blocks))

    def apply(
        self,
        network: nn.Module,
        blueprint: Blueprint,
        chosen: Mapping[str, Value],
        context: ApplyContext,
    ) -> nn.Module:
        for name in _gone(blueprint, chosen):
            take_out(network, name)
        return network


def _gone(blueprint: Blueprint, chosen: Mapping[str, Value]) -> set[str]:
    """Return the names of the blocks that a choice removes."""
    repeated = dict[str, list[str]]()
    for site in find_blocks(blueprint):
        same = site.stride == (1, 1) and site.reads == site.writes
        if site.shortcut is Shortcut.IDENTITY and same:
            repeated.setdefault(site.stage, []).append(site.name)
    return {
        name
        for stage, names in repeated.items()
        if stage in chosen
        for name in names[math.ceil(len(names) * float(chosen[stage])) :]
    }
