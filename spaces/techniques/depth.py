"""Fewer blocks: a stage loses residual blocks that keep the shape of what goes through.

Tan and Le: EfficientNet (2019), https://arxiv.org/abs/1905.11946, for depth as a thing to scale;
Veit et al.: Residual Networks Behave Like Ensembles (2016), https://arxiv.org/abs/1605.06431, for
why single blocks can go. The last ones go first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from ...lazy_imports import nn
from ..graph.blueprint import Blueprint, LeftAlone
from ..graph.sites import find_blocks
from ..graph.structure import Shortcut
from ..graph.submodules import take_out
from ..technique import Kind, Phase, Surroundings, Technique, Value
from .bases import parse_fraction


class Depth(Kind):
    """The share of a stage's repeated blocks that stays."""

    name = "depth"
    title = "share of a stage's repeated residual blocks that stays"
    phase = Phase.STRUCTURE
    neutral = 1.0

    def default_options(self) -> tuple[Value, ...]:
        return (1.0, 0.5)

    def techniques(self) -> Iterable[Technique]:
        yield Technique(
            name="0 <= depth <= 1",
            title="fewer residual blocks",
            replaces="repeated blocks of a stage",
            saves="0.5 about 1.6x of deep networks",
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

    def left_alone(self, blueprint: Blueprint, options: Sequence[Value]) -> Iterator[LeftAlone]:
        if not any(self.places(blueprint, value) for value in options):
            reason = "no stage repeats residual blocks that keep the shape"
            yield LeftAlone(self.name, "the network", reason)

    def foretell(self, blueprint: Blueprint, chosen: Mapping[str, Value]) -> Blueprint:
        gone = _gone(blueprint, chosen)
        marks = blueprint.landmarks
        names = {layer for name in gone for layer in blueprint.under(name)}
        kept = tuple(block for block in marks.blocks if block.name not in gone)
        shorter = blueprint.without_layers(names)
        return replace(shorter, landmarks=replace(marks, blocks=kept))

    def apply(
        self,
        network: nn.Module,
        blueprint: Blueprint,
        chosen: Mapping[str, Value],
        around: Surroundings,
    ) -> nn.Module:
        for name in _gone(blueprint, chosen):
            take_out(network, name)
        return network


def _gone(blueprint: Blueprint, chosen: Mapping[str, Value]) -> set[str]:
    """The blocks that a choice takes out."""
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
