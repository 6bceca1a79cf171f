"""Layers that are to be kept: which a glob means, and that nothing touches them."""

import copy
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from paredown.errors import InputError, UnknownName
from paredown.spaces.apply import apply_phase, predict_graph
from paredown.spaces.graph.blueprint import Blueprint
from paredown.spaces.graph.frozen import FROZEN_BY_KEEP, keep
from paredown.spaces.plan import Plan
from paredown.spaces.space import Granularity, Space
from paredown.spaces.technique import ApplyContext, Phase, Value
from paredown.spaces.techniques import TECHNIQUES
from torch import nn

# All techniques; activations of few bits need numbers.
OPTIONS: dict[str, tuple[Value, ...]] = {
    "resolution": (1.0, 0.5),
    "depth": (1.0, 0.5, 0.0),
    "neck": ("original", "conv", "inverted+features"),
    "head": ("original", "gap+nobias", "conv+bn"),
    "trunk": ("original", "thin"),
    "width": (1.0, 0.5),
    "block": ("original", "separable", "ghost", "fire", "dice", "inverted"),
    "criterion": ("l1", "fpgm"),
    "round": (8.0, 1.0),
    "steps": (1.0, 3.0),
    "prune": (0.0, 0.25, 0.5),
    "sparse": (0.0, 0.5),
    "bits": ("w32a32", "w16a16", "w8a32", "w4a32+edges"),
}


def kept_names(blueprint: Blueprint) -> list[str]:
    return [layer.name for layer in blueprint.layers if layer.is_frozen]


Known = Callable[[str, int], Any]


# What a glob means


@pytest.mark.parametrize(
    ("glob", "names"),
    [
        ("fc", ["fc"]),
        ("head", ["fc"]),
        ("stem", ["conv1", "bn1"]),
        ("layer3.1", ["layer3.1.conv1", "layer3.1.bn1", "layer3.1.conv2", "layer3.1.bn2"]),
        ("layer?.0.downsample.0", [f"layer{n}.0.downsample.0" for n in (2, 3, 4)]),
        ("layer[34].1.conv2", ["layer3.1.conv2", "layer4.1.conv2"]),
        ("*.conv2", [f"layer{n}.{b}.conv2" for n in (1, 2, 3, 4) for b in (0, 1)]),
    ],
)
def test_globs_mean_layers_modules_and_stages(glob: str, names: list[str], traced: Known) -> None:
    assert kept_names(keep(traced("resnet18", 32).blueprint, [glob])) == names


def test_a_module_is_the_same_as_all_that_is_in_it(traced: Known) -> None:
    blueprint = traced("resnet18", 32).blueprint
    whole = keep(blueprint, ["layer4"])
    assert kept_names(whole) == kept_names(keep(blueprint, ["layer4.*"]))
    assert kept_names(whole) == [a.name for a in blueprint.layers if a.name.startswith("layer4.")]
    assert kept_names(keep(blueprint, ["stage2"])) == [
        layer.name for layer in blueprint.layers if layer.stage == "stage2"
    ]


def test_several_globs_add_up_and_none_keeps_nothing(traced: Known) -> None:
    blueprint = traced("resnet18", 32).blueprint
    assert kept_names(keep(blueprint, ["fc", "stem", "fc"])) == ["conv1", "bn1", "fc"]
    assert keep(blueprint, []) is blueprint
    everything = keep(blueprint, ["*"])
    assert all(layer.is_frozen for layer in everything.layers)
    assert not everything.groups
    assert {d.technique for d in Space.of(everything, OPTIONS).dimensions} <= {
        "resolution",
        "quantizer",
    }


@pytest.mark.parametrize(
    ("glob", "told"),
    [
        ("layer3.conv1", r"unknown layer to keep 'layer3.conv1'; did you mean layer3\.[01]\.conv1"),
        ("fcc", r"unknown layer to keep 'fcc'; did you mean fc\?"),
        ("stage9", r"unknown layer to keep 'stage9'; did you mean stage"),
        ("FC", r"unknown layer to keep 'FC'; did you mean fc\?"),
        ("classifier.*", r"unknown layer to keep 'classifier\.\*'; \d+ are known"),
    ],
)
def test_what_matches_nothing_is_told_with_the_nearest(glob: str, told: str, traced: Known) -> None:
    with pytest.raises(UnknownName, match=told) as caught:
        keep(traced("resnet18", 32).blueprint, ["layer1.*", glob])
    assert isinstance(caught.value, InputError)


# What is offered no more


def offered(blueprint: Blueprint) -> set[str]:
    return {dimension.name for dimension in Space.of(blueprint, OPTIONS).dimensions}


def test_a_kept_classifier_has_no_other_head_and_no_neck(traced: Known) -> None:
    for name, glob in (("resnet18", "fc"), ("mobilenet_v2", "classifier.1")):
        blueprint = traced(name, 32).blueprint
        remaining = keep(blueprint, [glob])
        assert not {place for place in offered(remaining) if place.startswith("head.")}
        assert {"head.bits", "head.sparse"} <= offered(blueprint)
    assert {"head.head", "head.neck"} <= offered(traced("resnet18", 32).blueprint)
    remaining = keep(traced("resnet18", 32).blueprint, ["fc"])
    reported = [
        skipped.reason for skipped in TECHNIQUES.get("head").skipped(remaining, OPTIONS["head"])
    ]
    assert reported[0].endswith(FROZEN_BY_KEEP)


def test_a_kept_block_is_not_left_out(traced: Known) -> None:
    for name, glob, depth in (
        ("resnet18", "layer3.1", "stage3.depth"),
        ("mobilenet_v2", "features.3.*", "stage2.depth"),
    ):
        blueprint = traced(name, 32).blueprint
        assert depth in offered(blueprint)
        assert depth not in offered(keep(blueprint, [glob]))
    # One kept layer is enough; others of the stage may still go.
    blueprint = keep(traced("resnet20", 32).blueprint, ["layer2.1.bn2"])
    shorter = predict_graph(blueprint, Plan.of({"depth": {"stage2": 0.0}}))
    blocks = {a.name[:8] for a in shorter.layers if a.name.startswith("layer2.")}
    assert blocks == {"layer2.0", "layer2.1"}


def test_a_kept_stage_offers_nothing(traced: Known) -> None:
    for name in ("resnet18", "mobilenet_v2", "resnet20"):
        remaining = keep(traced(name, 32).blueprint, ["stage2"])
        assert not {name for name in offered(remaining) if name.startswith("stage2.")}
        by_site = Space.of(remaining, OPTIONS, Granularity.SITE).dimensions
        inside = {layer.name for layer in remaining.layers if layer.is_frozen}
        blocks = {dimension.place for dimension in by_site if dimension.technique == "block"}
        assert blocks
        assert not any(layer == b or layer.startswith(f"{b}.") for layer in inside for b in blocks)


def test_what_is_kept_is_said_to_be(traced: Known) -> None:
    remaining = keep(traced("resnet18", 32).blueprint, ["layer3.1.conv1"])
    channels = {
        skipped.name: skipped.reason
        for skipped in remaining.skipped
        if skipped.technique == "channels"
    }
    # What it writes, and what it reads: the stream that the residual sums of stage 3 tie.
    assert set(channels) == {"layer3.1.conv1", "layer3.0.conv2"}
    assert set(channels.values()) == {f"{FROZEN_BY_KEEP}, or tied to a frozen layer"}
    reported = TECHNIQUES.get("block").skipped(remaining, ["separable"])
    assert ("layer3.1.conv1", FROZEN_BY_KEEP) in {
        (skipped.name, skipped.reason) for skipped in reported
    }
    assert not set(channels) & set(remaining.groups)


# What stays as it is


def shapes(network: nn.Module, names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    inside = network.state_dict()
    return {name: tuple(inside[f"{name}.weight"].shape) for name in names}


@pytest.mark.parametrize(
    ("name", "globs"),
    [
        ("resnet18", ["fc", "layer3.1", "layer2.0.conv1"]),
        ("mobilenet_v2", ["stem", "features.14.*", "classifier.1"]),
    ],
)
def test_nothing_touches_what_is_kept(
    name: str, globs: list[str], assert_as_predicted: Callable[..., nn.Module], traced: Known
) -> None:
    network, images, blueprint = traced(name, 32)
    remaining = keep(blueprint, globs)
    space, names = Space.of(remaining, OPTIONS), kept_names(remaining)
    for plan in (space.uniform(1), space.sample(random.Random(0))):
        changed = assert_as_predicted(network, images, remaining, plan)
        assert shapes(changed, names) == shapes(network, names)
        predicted = predict_graph(remaining, plan)
        for text in names:
            layer, module = predicted.layer(text), changed.get_submodule(text)
            assert (layer.weight_bits, layer.activation_bits, layer.zeros) == (32, 32, 0)
            assert type(module) is type(network.get_submodule(text))


def test_kept_weights_are_the_same_numbers(
    trained: Callable[[str], nn.Module], traced: Known
) -> None:
    network, images = trained("resnet20"), torch.randn(4, 3, 32, 32)
    remaining = keep(traced("resnet20", 32).blueprint, ["layer2.1", "linear", "bn1"])
    stages = ("stage1", "stage2", "stage3")
    plan = Plan.of(
        {
            "width": dict.fromkeys(stages, 0.5),
            "prune": dict.fromkeys(stages, 0.5),
            "block": dict.fromkeys(("stem", *stages), "separable"),
            "sparse": dict.fromkeys(("stem", *stages, "head"), 0.5),
            "bits": dict.fromkeys(("stem", *stages, "head"), "w8a8"),
        }
    )
    changed, context = copy.deepcopy(network), ApplyContext(images, [(images, torch.arange(4))])
    for phase in Phase:
        changed = apply_phase(changed, remaining, plan, phase, context)
    after = changed.state_dict()
    for name, tensor in network.state_dict().items():
        if any(name.startswith(f"{layer}.") for layer in kept_names(remaining)):
            assert torch.equal(after[name], tensor), name
    assert sum(p.numel() for p in changed.parameters()) < 0.7 * sum(
        p.numel() for p in network.parameters()
    )
    assert changed(images).shape == (4, 10)


def test_a_kept_norm_outlives_the_convolution_before_it(
    assert_as_predicted: Callable[..., nn.Module], traced: Known
) -> None:
    network, images, blueprint = traced("resnet20", 32)
    remaining = keep(blueprint, ["bn1", "layer1.0.bn1"])
    cases: list[tuple[str, dict[str, dict[str, object]]]] = [
        ("fire", {"resolution": {"input": 0.5}}),  # has norms of its own
        ("separable", {"bits": {"stem": "w8a32"}}),
    ]
    for block, others in cases:
        plan = Plan.of({"block": dict.fromkeys(("stem", "stage1"), block), **others})
        changed = assert_as_predicted(network, images, remaining, plan)
        assert shapes(changed, kept_names(remaining)) == dict.fromkeys(kept_names(remaining), (16,))


RESNET20 = ["conv1", "layer1.0.conv1", "layer2.1", "layer3.2.conv2", "linear", "stage3", "bn1"]


@settings(max_examples=6)
@given(st.sets(st.sampled_from(RESNET20), min_size=1, max_size=3), st.integers(0, 2**32))
def test_no_plan_changes_the_shape_of_what_is_kept(
    traced: Known, globs: set[str], seed: int
) -> None:
    network, images, blueprint = traced("resnet20", 32)
    remaining = keep(blueprint, sorted(globs))
    plan = Space.of(remaining, OPTIONS).sample(random.Random(seed))
    changed = copy.deepcopy(network)
    for phase in Phase:
        changed = apply_phase(changed, remaining, plan, phase, ApplyContext(images))
    names = kept_names(remaining)
    assert shapes(changed, names) == shapes(network, names)
    assert changed(images).shape == (2, 10)
    assert {
        layer.weight_bits for layer in predict_graph(remaining, plan).layers if layer.is_frozen
    } == {32}


def test_the_space_says_that_layers_are_kept(traced: Known) -> None:
    blueprint = traced("resnet20", 32).blueprint
    remaining = keep(blueprint, ["layer2.*"])
    assert Space.of(remaining).signature != Space.of(blueprint).signature
    assert any(skipped.reason.startswith(FROZEN_BY_KEEP) for skipped in Space.of(remaining).skipped)
