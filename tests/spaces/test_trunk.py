"""A thin trunk: how thin, where, which channels stay, and what the blocks keep."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from paredown.errors import UnknownName
from paredown.spaces.apply import predict_graph
from paredown.spaces.graph.blueprint import Blueprint
from paredown.spaces.models import build_model
from paredown.spaces.plan import Plan
from paredown.spaces.space import Space
from paredown.spaces.techniques import TECHNIQUES
from paredown.spaces.techniques.trunk import rounded
from torch import nn

TRUNK = TECHNIQUES.get("trunk")


def thin(blueprint: Blueprint, value: str = "thin") -> Plan:
    """Thin wherever that changes something."""
    return Plan.of({"trunk": dict.fromkeys(TRUNK.places(blueprint, value), value)})


def widths(blueprint: Blueprint, plan: Plan) -> Mapping[str, int]:
    """What each convolution writes."""
    after = predict_graph(blueprint, plan)
    return {layer.name: layer.writes.count(after.sizes) for layer in after.layers}


@pytest.mark.parametrize(
    ("width", "multiple", "expected"),
    [
        (64 / 6, 2, 10),
        (128 / 6, 2, 22),
        (256 / 6, 2, 42),
        (512 / 6, 2, 86),
        (64 / 6, 8, 16),  # 8 would be less than 90 %
        (128 / 6, 8, 24),
        (256 / 6, 8, 40),
        (512 / 6, 8, 88),
        (16 / 6, 8, 8),
        (1, 2, 2),
    ],
)
def test_widths_are_rounded_as_in_mobilenet(width: float, multiple: int, expected: int) -> None:
    assert rounded(width, multiple) == expected
    assert rounded(width, multiple) >= 0.9 * width


@pytest.mark.parametrize(
    ("value", "stem", "trunks"), [("thin", 10, (10, 22, 42, 86)), ("thin-8", 16, (16, 24, 40, 88))]
)
def test_bottlenecks_keep_their_inside(
    value: str, stem: int, trunks: tuple[int, ...], traced: Callable[..., Any]
) -> None:
    blueprint = traced("resnet50", 32).blueprint
    assert TRUNK.places(blueprint, value) == ("stem", "stage1", "stage2", "stage3", "stage4")
    after, before = widths(blueprint, thin(blueprint, value)), widths(blueprint, Plan())
    assert after["conv1"] == stem
    for stage, width in enumerate(trunks, start=1):
        assert after[f"layer{stage}.0.downsample.0"] == after[f"layer{stage}.2.conv3"] == width
        for inside in (f"layer{stage}.0.conv1", f"layer{stage}.1.conv2"):
            assert after[inside] == before[inside] == 32 * 2**stage


def test_a_stem_that_a_sum_ties_to_the_first_stage_is_no_place(traced: Callable[..., Any]) -> None:
    blueprint = traced("resnet18", 32).blueprint
    assert TRUNK.places(blueprint, "thin") == ("stage1", "stage2", "stage3", "stage4")
    after = widths(blueprint, Plan.of({"trunk": {"stage1": "thin"}}))
    assert after["conv1"] == after["layer1.1.conv2"] == 10
    assert after["layer1.1.conv1"] == 64


@pytest.mark.parametrize("name", ["vgg11_bn", "squeezenet1_1", "googlenet"])
def test_networks_without_residual_blocks_have_no_trunk(
    name: str, traced: Callable[..., Any]
) -> None:
    for value in ("thin", "thin-8"):
        assert TRUNK.places(traced(name, 64).blueprint, value) == ()


def test_a_trunk_is_never_widened(traced: Callable[..., Any]) -> None:
    # MobileNetV2 is as thin as that nearly everywhere.
    blueprint = traced("mobilenet_v2", 32).blueprint
    for value in ("thin", "thin-8"):
        after = predict_graph(blueprint, thin(blueprint, value)).sizes
        assert all(after[group] <= size for group, size in blueprint.sizes.items())
        elsewhere = [s for s in blueprint.stages if s not in TRUNK.places(blueprint, value)]
        unchanged = Plan.of({"trunk": dict.fromkeys(elsewhere, value)})
        assert predict_graph(blueprint, unchanged) == blueprint


@pytest.mark.parametrize("value", ["thin", "thin-8"])
@pytest.mark.parametrize(
    ("name", "size"),
    [("resnet20", 32), ("resnet50", 32), ("mobilenet_v2", 32), ("mobilenet_v3_small", 64)],
)
def test_networks_come_out_as_predicted(
    name: str,
    size: int,
    value: str,
    traced: Callable[..., Any],
    assert_as_predicted: Callable[..., nn.Module],
) -> None:
    network, images, blueprint = traced(name, size)
    assert_as_predicted(network, images, blueprint, thin(blueprint, value))


def test_the_largest_channels_stay(
    trained: Callable[[str], nn.Module],
    traced: Callable[..., Any],
    carry_out: Callable[..., nn.Module],
) -> None:
    network, blueprint = trained("resnet20"), traced("resnet20", 32).blueprint
    large = [1, 6, 11, 12]  # of the 16 of stage 1; a sixth of 16 in twos is 2, in eights 8
    writers = ["conv1", *(f"layer1.{block}.conv2" for block in range(3))]
    with torch.no_grad():
        for name in writers:
            network.get_submodule(name).get_parameter("weight")[large] *= 10
    wanted = [index for index in range(16) if index in large]
    plan = Plan.of({"trunk": {"stage1": "thin-8"}})
    after = carry_out(network, torch.randn(2, 3, 32, 32), blueprint, plan)
    weight = network.get_submodule("conv1").get_parameter("weight")
    remaining = after.get_submodule("conv1").get_parameter("weight")
    assert len(remaining) == 8
    here = [next(n for n in range(16) if torch.equal(weight[n], row)) for row in remaining]
    assert set(wanted) < set(here)
    hidden = after.get_submodule("layer1.0.conv1").get_parameter("weight")
    assert torch.equal(
        hidden, network.get_submodule("layer1.0.conv1").get_parameter("weight")[:, here]
    )


def test_the_mean_of_layers_decides_which_channels_are_largest(
    traced: Callable[..., Any], carry_out: Callable[..., nn.Module]
) -> None:
    torch.manual_seed(0)
    network = build_model("resnet20", 10, 3)
    blueprint = traced("resnet20", 32).blueprint
    with torch.no_grad():  # zero wherever they are written, read and normalised: surely small
        for block in range(3):
            network.get_submodule(f"layer1.{block}.conv1").get_parameter("weight")[:, 8:] = 0
            network.get_submodule(f"layer1.{block}.conv2").get_parameter("weight")[8:] = 0
            network.get_submodule(f"layer1.{block}.bn2").get_parameter("weight")[8:] = 0
        network.get_submodule("conv1").get_parameter("weight")[8:] = 0
        network.get_submodule("bn1").get_parameter("weight")[8:] = 0
        network.get_submodule("layer2.0.conv1").get_parameter("weight")[:, 8:] = 0
    before = copy.deepcopy(network).eval()
    images = torch.randn(2, 3, 32, 32)
    plan = Plan.of({"trunk": {"stage1": "thin-8"}})
    after = carry_out(network, images, blueprint, plan).eval()
    # The shortcut into stage 2 pads and reads the eight as well: only the first stage is compared.
    seen = list[torch.Tensor]()
    for inner in (before, after):
        inner.get_submodule("layer1.2.conv1").register_forward_pre_hook(
            lambda module, inputs: seen.append(inputs[0])
        )
        with torch.no_grad():
            inner(images)
    assert torch.allclose(seen[0][:, :8], seen[1], atol=1e-5)


def test_a_trunk_is_thin_by_what_the_blocks_still_have_inside(traced: Callable[..., Any]) -> None:
    blueprint = traced("resnet50", 32).blueprint
    both = Plan.of({"trunk": {"stage1": "thin"}, "width": {"stage1": 0.5}})
    after = widths(blueprint, both)
    assert after["layer1.0.conv2"] == 32
    assert after["layer1.0.conv3"] == 5  # the trunk is thinned first, by the baseline's inside


def test_it_is_decided_stage_by_stage(traced: Callable[..., Any]) -> None:
    blueprint = traced("resnet18", 32).blueprint
    after = widths(blueprint, Plan.of({"trunk": {"stage2": "thin", "stage4": "thin-8"}}))
    writes = [after[f"layer{stage}.1.conv2"] for stage in range(1, 5)]
    assert writes == [64, 22, 256, 88]
    space = Space.of(blueprint, {"trunk": ("original", "thin")})
    assert [d.place for d in space.dimensions if d.technique == "trunk"] == list(
        blueprint.stages[1:-1]
    )


@pytest.mark.parametrize("wrong", ["thick", "thin-4", 0.5, None])
def test_other_trunks_are_refused_with_those_there_are(wrong: object) -> None:
    with pytest.raises(UnknownName, match="unknown trunk") as caught:
        TRUNK.parse(wrong)
    assert caught.value.known == ["original", "thin", "thin-8"]
