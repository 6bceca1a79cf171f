"""Other heads: what they compute and cost, where they can stand, and what is said where not."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from paredown.errors import UnknownName
from paredown.objectives.cost.cost import count
from paredown.spaces.apply import predict_graph
from paredown.spaces.graph.blueprint import Blueprint, Skipped
from paredown.spaces.models import build_model
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.techniques import TECHNIQUES
from torch import nn

HEAD = TECHNIQUES.get("head")
HEADS = ("gap", "gap+nobias", "conv", "conv+bn", "conv+relu6", "conv+bn+relu6")


def head(value: str) -> Plan:
    return Plan.of({"head": {"head": value}})


def reasons(blueprint: Blueprint, value: str) -> list[str]:
    parts: list[Skipped] = list(HEAD.skipped(blueprint, ["original", value]))
    assert all((skipped.technique, skipped.name) == ("head", "head") for skipped in parts)
    return [skipped.reason for skipped in parts]


def features(network: nn.Module, images: torch.Tensor, name: str) -> torch.Tensor:
    """What a module gives."""
    seen = list[torch.Tensor]()
    hook = network.get_submodule(name).register_forward_hook(
        lambda module, inputs, output: seen.append(output.clone())
    )
    with torch.no_grad():
        network(images)
    hook.remove()
    return seen[0]


@pytest.mark.parametrize(
    ("name", "size", "value"),
    [
        *((name, 64, value) for name in ("vgg11_bn", "resnet18") for value in HEADS),
        *(("mobilenet_v3_small", 64, value) for value in ("gap", "conv+bn+relu6")),
        *(("googlenet", 64, value) for value in ("gap+nobias", "conv")),
    ],
)
def test_networks_come_out_as_predicted(
    name: str,
    size: int,
    value: str,
    traced: Callable[..., Any],
    assert_as_predicted: Callable[..., nn.Module],
) -> None:
    network, images, blueprint = traced(name, size)
    if not HEAD.places(blueprint, value):
        assert reasons(blueprint, value) == [f"{value}: the head already has this form"]
        return
    assert HEAD.places(blueprint, value) == ("head",)
    changed = assert_as_predicted(network, images, blueprint, head(value))
    assert changed(images).shape == (2, 10)


# VGG-11: 512 features in 7x7, layers of 4,096, 4,096 and 10; its convolutions have biases.
VGG_HEAD = (512 * 49 + 1) * 4096 + 4097 * 4096 + 4097 * 10


@pytest.mark.parametrize(
    ("name", "value", "before", "after"),
    [
        ("vgg11_bn", "gap", VGG_HEAD, 513 * 10),
        ("vgg11_bn", "gap+nobias", VGG_HEAD, 512 * 10),
        ("vgg11_bn", "conv", VGG_HEAD, 513 * 10),
        ("vgg11_bn", "conv+bn", VGG_HEAD, 513 * 10 + 2 * 10),
        ("resnet18", "gap+nobias", 513 * 10, 512 * 10),
        ("resnet18", "conv", 513 * 10, 512 * 10),  # its convolutions have no biases
        ("resnet18", "conv+bn+relu6", 513 * 10, 512 * 10 + 2 * 10),
        ("mobilenet_v3_small", "gap", 577 * 1024 + 1025 * 10, 577 * 10),
    ],
)
def test_params_follow_their_formula(
    name: str, value: str, before: int, after: int, traced: Callable[..., Any]
) -> None:
    blueprint = traced(name, 64).blueprint
    changed = count(predict_graph(blueprint, head(value)))
    assert changed.params == count(blueprint).params - before + after


@pytest.mark.parametrize(("value", "pixels"), [("gap", 1), ("conv+bn", 4 * 4)])
def test_macs_follow_their_formula(value: str, pixels: int, traced: Callable[..., Any]) -> None:
    # VGG-11's last feature map is 4x4 of 64 pixels; the pooling behind it goes.
    blueprint = traced("vgg11_bn", 64).blueprint
    linear = 512 * 49 * 4096 + 4096 * 4096 + 4096 * 10
    changed = count(predict_graph(blueprint, head(value)))
    assert changed.macs == count(blueprint).macs - linear + 512 * 10 * pixels


@pytest.mark.parametrize("value", ["conv", "conv+relu6"])
def test_scores_are_pooled_1x1_convolutions(
    value: str,
    trained: Callable[[str], nn.Module],
    traced: Callable[..., Any],
    carry_out: Callable[..., nn.Module],
) -> None:
    network, images = trained("resnet18"), torch.randn(3, 3, 64, 64)
    changed = carry_out(network, images, traced("resnet18", 64).blueprint, head(value))
    conv = changed.get_submodule("avgpool.conv")
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is None
    with torch.no_grad():
        conv.weight *= 20  # so that six is reached
        seen = features(network, images, "layer4")
        scores = torch.einsum("bchw,kc->bkhw", seen, conv.weight[:, :, 0, 0]).clamp_min(0)
        assert scores.max() > 6
        scores = scores.clamp_max(6) if "relu6" in value else scores
        assert torch.allclose(changed(images), scores.mean((2, 3)), rtol=1e-4, atol=1e-5)


def test_gap_is_one_linear_layer_on_the_mean_of_the_last_features(
    trained: Callable[[str], nn.Module],
    traced: Callable[..., Any],
    carry_out: Callable[..., nn.Module],
) -> None:
    network, images = trained("mobilenet_v3_small"), torch.randn(3, 3, 64, 64)
    blueprint = traced("mobilenet_v3_small", 64).blueprint
    changed = carry_out(network, images, blueprint, head("gap"))
    linear = changed.get_submodule("classifier.0")
    assert isinstance(linear, nn.Linear)
    pooled = features(network, images, "features").mean((2, 3))
    with torch.no_grad():
        by_hand = F.linear(pooled, linear.weight, linear.bias)
        assert torch.allclose(changed(images), by_hand, rtol=1e-4, atol=1e-5)


def test_all_else_behind_the_last_features_goes(
    traced: Callable[..., Any], carry_out: Callable[..., nn.Module]
) -> None:
    network, images, blueprint = traced("vgg11_bn", 64)
    for value in ("gap", "conv"):
        changed = carry_out(network, images, blueprint, head(value))
        for gone in ("features.28", *(f"classifier.{number}" for number in range(1, 7))):
            assert isinstance(changed.get_submodule(gone), nn.Identity), gone
        assert isinstance(changed.get_submodule("features.27"), nn.ReLU)


@pytest.mark.parametrize("classes", [2, 7])
@pytest.mark.parametrize("value", ["gap", "conv+bn"])
def test_there_are_as_many_scores_as_before(
    value: str, classes: int, carry_out: Callable[..., nn.Module]
) -> None:
    with torch.device("meta"):
        network = build_model("vgg11_bn", classes, 3)
    images = torch.zeros(2, 3, 32, 32, device="meta")
    blueprint = trace_with_groups(network, images)
    assert carry_out(network, images, blueprint, head(value))(images).shape == (2, classes)


@pytest.mark.parametrize(
    ("name", "size", "reason"),
    [
        ("resnet20", 32, "the head calls functions outside of modules (mean)"),
        ("squeezenet1_1", 64, "no linear layer follows the last feature map"),
        ("convnext_tiny", 64, "no pooling module precedes the linear layers"),
    ],
)
def test_other_tails_are_skipped(
    name: str, size: int, reason: str, traced: Callable[..., Any]
) -> None:
    blueprint = traced(name, size).blueprint
    for value in HEADS:
        assert HEAD.places(blueprint, value) == ()
        assert reasons(blueprint, value) == [f"{value}: {reason}"]


def test_a_head_that_is_that_already_is_no_choice(traced: Callable[..., Any]) -> None:
    blueprint = traced("resnet18", 64).blueprint
    assert HEAD.places(blueprint, "gap") == ()
    assert HEAD.places(blueprint, "gap+nobias") == ("head",)
    assert reasons(blueprint, "gap") == ["gap: the head already has this form"]
    assert reasons(blueprint, "original") == []
    bare = predict_graph(blueprint, head("gap+nobias"))
    assert HEAD.places(bare, "conv") == ()  # a plan has one head; it is not changed again


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("value", ["gap", "conv+bn"])
def test_new_parts_are_in_the_same_mode(
    value: str, training: bool, traced: Callable[..., Any], carry_out: Callable[..., nn.Module]
) -> None:
    network, images, blueprint = traced("mobilenet_v3_small", 64)
    network = copy.deepcopy(network).train(training)
    changed = carry_out(network, images, blueprint, head(value))
    assert {module.training for module in changed.modules()} == {training}


def test_the_layers_before_keep_their_weights(
    trained: Callable[[str], nn.Module],
    traced: Callable[..., Any],
    carry_out: Callable[..., nn.Module],
) -> None:
    network, images = trained("resnet18"), torch.randn(2, 3, 64, 64)
    blueprint = traced("resnet18", 64).blueprint
    for value in ("gap+nobias", "conv+bn"):
        after = carry_out(network, images, blueprint, head(value)).state_dict()
        for name, tensor in network.state_dict().items():
            assert name.startswith("fc.") or torch.equal(after[name], tensor), name


@pytest.mark.parametrize("wrong", ["gab", "bn", 1.0, None, "gap+bn"])
def test_other_heads_are_refused_with_those_there_are(wrong: object) -> None:
    with pytest.raises(UnknownName, match="unknown head") as caught:
        HEAD.parse(wrong)
    assert caught.value.known == sorted(("original", *HEADS))
