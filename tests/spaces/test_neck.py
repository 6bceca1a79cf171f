"""A neck between the last block and the pooling: how wide, what it costs, where it can stand."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from paredown.errors import UnknownName
from paredown.objectives.cost.cost import count
from paredown.spaces.apply import predict_graph
from paredown.spaces.plan import Plan
from paredown.spaces.techniques import TECHNIQUES
from torch import nn

NECK = TECHNIQUES.get("neck")
NECKS = ("conv", "inverted", "conv+features", "inverted+features")


def neck(value: str) -> Plan:
    return Plan.of({"neck": {"head": value}})


@pytest.mark.parametrize("value", NECKS)
@pytest.mark.parametrize(
    ("name", "size"), [("resnet18", 32), ("resnet50", 32), ("mobilenet_v3_small", 64)]
)
def test_networks_come_out_as_predicted(
    name: str,
    size: int,
    value: str,
    traced: Callable[..., Any],
    assert_as_predicted: Callable[..., nn.Module],
) -> None:
    network, images, blueprint = traced(name, size)
    assert NECK.places(blueprint, value) == ("head",)
    assert_as_predicted(network, images, blueprint, neck(value))


def inverted(into: int, hidden: int, out: int) -> int:
    """1x1, depthwise 3x3, 1x1 and a projecting shortcut, each with batch norm."""
    branch = into * hidden + 2 * hidden + 9 * hidden + 2 * hidden + hidden * out + 2 * out
    return branch + into * out + 2 * out


# ResNet-50: 2,048 features of blocks that are 512 wide inside, 10 classes.
INTO, HIDDEN = 2048, 512


@pytest.mark.parametrize(
    ("value", "added"),
    [
        ("conv", INTO * HIDDEN + 2 * HIDDEN + (HIDDEN - INTO) * 10),
        ("conv+features", 2 * INTO * HIDDEN + 2 * HIDDEN + 2 * INTO),
        ("inverted", inverted(INTO, HIDDEN, HIDDEN) + (HIDDEN - INTO) * 10),
        ("inverted+features", inverted(INTO, HIDDEN, HIDDEN) + HIDDEN * INTO + 2 * INTO),
    ],
)
def test_params_follow_their_formula(value: str, added: int, traced: Callable[..., Any]) -> None:
    blueprint = traced("resnet50", 32).blueprint
    assert count(predict_graph(blueprint, neck(value))).params == count(blueprint).params + added


def test_the_first_linear_layer_reads_the_neck(
    traced: Callable[..., Any], carry_out: Callable[..., nn.Module]
) -> None:
    network, images, blueprint = traced("resnet50", 32)
    for value, reads in (("conv", HIDDEN), ("inverted", HIDDEN), ("conv+features", INTO)):
        linear = carry_out(network, images, blueprint, neck(value)).get_submodule("fc")
        assert isinstance(linear, nn.Linear)
        assert (linear.in_features, linear.out_features) == (reads, 10)


def test_the_head_stays_as_it_was_behind_as_many_features(
    trained: Callable[[str], nn.Module],
    traced: Callable[..., Any],
    carry_out: Callable[..., nn.Module],
) -> None:
    network, images = trained("resnet18"), torch.randn(2, 3, 32, 32)
    blueprint = traced("resnet18", 32).blueprint
    changed = carry_out(network, images, blueprint, neck("conv+features"))
    after = changed.state_dict()
    for name, tensor in network.state_dict().items():
        assert torch.equal(after[name], tensor), name


def test_a_conv_neck_is_a_1x1_convolution_with_relu6(
    trained: Callable[[str], nn.Module],
    traced: Callable[..., Any],
    carry_out: Callable[..., nn.Module],
) -> None:
    network, images = trained("resnet18"), torch.randn(2, 3, 64, 64)
    blueprint = traced("resnet18", 64).blueprint
    changed = carry_out(network, images, blueprint, neck("conv"))
    seen = dict[str, torch.Tensor]()
    for name in ("layer4", "avgpool"):
        changed.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, name=name: seen.__setitem__(name, output.clone())
        )
    weight = changed.get_submodule("avgpool.neck.widen.conv").get_parameter("weight")
    with torch.no_grad():
        weight.mul_(10)
        changed.eval()(images)
        wide = torch.einsum("bchw,kc->bkhw", seen["layer4"], weight[:, :, 0, 0])
        wide = (wide / (1 + 1e-5) ** 0.5).clamp(0, 6)  # batch norm as it begins
    assert wide.max() == 6
    assert torch.allclose(seen["avgpool"][:, :, 0, 0], wide.mean((2, 3)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("head", ["gap+nobias", "conv+bn"])
@pytest.mark.parametrize("value", ["inverted", "conv+features"])
def test_a_head_stands_behind_a_neck(
    value: str,
    head: str,
    traced: Callable[..., Any],
    assert_as_predicted: Callable[..., nn.Module],
) -> None:
    network, images, blueprint = traced("resnet18", 32)
    plan = Plan.of({"neck": {"head": value}, "head": {"head": head}})
    changed = assert_as_predicted(network, images, blueprint, plan)
    assert changed(images).shape == (2, 10)
    assert any(name.startswith("avgpool.neck") for name, _ in changed.named_modules())


def test_a_neck_widens_what_a_thin_trunk_gives(
    traced: Callable[..., Any], assert_as_predicted: Callable[..., nn.Module]
) -> None:
    network, images, blueprint = traced("resnet50", 32)
    plan = Plan.of({"neck": {"head": "conv"}, "trunk": {"stage4": "thin"}})
    after = assert_as_predicted(network, images, blueprint, plan)
    conv = after.get_submodule("avgpool.neck.widen.conv")
    assert isinstance(conv, nn.Conv2d)
    assert (conv.in_channels, conv.out_channels) == (86, 512)


@pytest.mark.parametrize(
    ("name", "size", "reason"),
    [
        ("vgg11_bn", 64, "no residual block from which to take the hidden width"),
        ("googlenet", 64, "no residual block from which to take the hidden width"),
        ("resnet20", 32, "the head calls functions outside of modules (mean)"),
        ("squeezenet1_1", 64, "no linear layer follows the last feature map"),
    ],
)
def test_other_networks_are_skipped(
    name: str, size: int, reason: str, traced: Callable[..., Any]
) -> None:
    blueprint = traced(name, size).blueprint
    assert [skipped.reason for skipped in NECK.skipped(blueprint, ["original", *NECKS])] == [reason]
    assert all(NECK.places(blueprint, value) == () for value in NECKS)


@pytest.mark.parametrize("training", [True, False])
def test_new_parts_are_in_the_same_mode(
    training: bool, traced: Callable[..., Any], carry_out: Callable[..., nn.Module]
) -> None:
    network, images, blueprint = traced("resnet18", 32)
    network = copy.deepcopy(network).train(training)
    for value in NECKS:
        changed = carry_out(network, images, blueprint, neck(value))
        assert {module.training for module in changed.modules()} == {training}


@pytest.mark.parametrize("wrong", ["wide", "features", 2.0, None])
def test_other_necks_are_refused_with_those_there_are(wrong: object) -> None:
    with pytest.raises(UnknownName, match="unknown neck") as caught:
        NECK.parse(wrong)
    assert caught.value.known == sorted(("original", *NECKS))
