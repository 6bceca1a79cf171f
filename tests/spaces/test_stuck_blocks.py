"""Blocks that cannot follow a cut: registered in a file of their own, and used like any other."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from paredown.spaces.apply import apply_phase, predict_graph
from paredown.spaces.blocks import FAMILIES, ConvFamily, find_family
from paredown.spaces.blocks.families import block_graph
from paredown.spaces.graph.blueprint import Blueprint
from paredown.spaces.graph.sites import ConvSpec
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.space import Space
from paredown.spaces.technique import ApplyContext, Phase, TechniqueInfo
from paredown.tests.spaces.block_cases import assert_cut_rightly
from torch import nn


class Shuffled(nn.Module):
    """A convolution in two groups behind a channel shuffle: nothing of it can be cut."""

    def __init__(self, spec: ConvSpec) -> None:
        super().__init__()
        shape = spec.geometry
        self.conv = nn.Conv2d(
            spec.in_channels, spec.out_channels, shape.kernel, shape.stride, shape.padding, groups=2
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.conv(F.channel_shuffle(x, 2))
        return out


class Doubled(nn.Module):
    """Half of the channels twice: its output is no channel group."""

    def __init__(self, spec: ConvSpec) -> None:
        super().__init__()
        shape = spec.geometry
        half = spec.out_channels // 2
        self.conv = nn.Conv2d(spec.in_channels, half, shape.kernel, shape.stride, shape.padding)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        half = self.conv(x)
        return torch.cat([half, half], 1)


class Gated(nn.Module):
    """Its input comes through to its output: the two ends are one group."""

    def __init__(self, spec: ConvSpec) -> None:
        super().__init__()
        shape = spec.geometry
        self.conv = nn.Conv2d(
            spec.in_channels, spec.out_channels, shape.kernel, shape.stride, shape.padding
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.conv(x)
        return out + x if out.shape == x.shape else out


def family_of(block: type[nn.Module]) -> ConvFamily:
    class Family(ConvFamily):
        info = TechniqueInfo(block.__name__.lower(), "for a test", "convs", "something")

        def build(self, spec: ConvSpec) -> nn.Module:
            return block(spec)

        def refuses(self, spec: ConvSpec) -> str:
            even = spec.in_channels % 2 == 0 == spec.out_channels % 2
            return "" if even else "it needs even channels"

    return Family()


@pytest.fixture(params=[Shuffled, Doubled, Gated], ids=lambda block: block.__name__)
def family(request: pytest.FixtureRequest) -> Iterator[ConvFamily]:
    registered = family_of(request.param)
    FAMILIES.register(registered)
    yield registered
    del FAMILIES._records[registered.name]
    find_family.cache_clear()
    block_graph.cache_clear()


@pytest.mark.parametrize("model", ["resnet20", "squeezenet1_1"])
def test_what_they_touch_is_not_cut_and_all_else_is(
    family: ConvFamily,
    model: str,
    traced: Callable[..., Any],
    assert_as_predicted: Callable[..., Any],
) -> None:
    known = traced(model, 64)
    options = {"block": ["original", family.name, "separable"], "bits": ["w32a32", "w8a32"]}
    space = Space.of(known.blueprint, options)
    rng = random.Random(0)
    for _ in range(2):
        assert_as_predicted(known.network, known.images, known.blueprint, space.sample(rng))


def test_a_stage_without_them_is_still_cut(family: ConvFamily, traced: Callable[..., Any]) -> None:
    blueprint = traced("resnet20", 32).blueprint
    plan = Plan.of({"block": {"stage1": family.name}, "prune": {"stage3": 0.5}})
    after = predict_graph(blueprint, plan, Phase.PRUNE)
    assert after.layer("layer3.2.conv1").writes.count(after.sizes) == 32
    new = {group for group in after.groups if group not in blueprint.groups}
    assert all(group.startswith("layer1.") for group in new)
    # The stage's stream, which the blocks read and write, is fixed; or it has become one with
    # what is inside of them.
    assert ("conv1" in after.groups) == (family.name == "gated")


class Flipped(nn.Module):
    """Its channels change places; no cut can follow them, and none that it makes fails."""

    def __init__(self, spec: ConvSpec) -> None:
        super().__init__()
        shape = spec.geometry
        self.conv = nn.Conv2d(spec.in_channels, 8, shape.kernel, shape.stride, shape.padding)
        self.mixing = nn.Conv2d(8, spec.out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.mixing(self.conv(x).flip(1))
        return out


def small() -> tuple[nn.Module, torch.Tensor, Blueprint]:
    """Two convolutions, and four pixels of every channel flattened."""
    torch.manual_seed(0)
    convs = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
    tail = nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 5)
    network, images = nn.Sequential(*convs, *tail).eval(), torch.randn(2, 3, 8, 8)
    return network, images, trace_with_groups(network, images)


def test_the_gate_tells_a_family_that_is_cut_wrongly() -> None:
    network, images, blueprint = small()
    family = FAMILIES.register(family_of(Flipped))
    try:
        plan = Plan.of({"block": {"1": family.name}})
        changed = apply_phase(network, blueprint, plan, Phase.STRUCTURE, ApplyContext(images))
        with pytest.raises(AssertionError):
            assert_cut_rightly(changed, images, predict_graph(blueprint, plan, Phase.STRUCTURE))
    finally:
        del FAMILIES._records[family.name]
        find_family.cache_clear()
        block_graph.cache_clear()


@pytest.mark.parametrize("name", ["ghost", "fire", "fire+ghost"])
def test_halves_flattened_from_several_pixels_are_not_cut(name: str) -> None:
    # Torch-Pruning takes their inputs of the linear layer for one another.
    network, images, blueprint = small()
    plan = Plan.of({"block": {"1": name}})
    changed = apply_phase(network, blueprint, plan, Phase.STRUCTURE, ApplyContext(images))
    predicted = predict_graph(blueprint, plan, Phase.STRUCTURE)
    assert predicted.layer("5").reads.groups == ()
    assert "0" in predicted.groups
    assert_cut_rightly(changed.eval(), images, predicted)
