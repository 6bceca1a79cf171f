"""Fewer residual blocks: which go, what that saves, and that the rest stays as it is."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from paredown.errors import PlanError
from paredown.objectives.cost.cost import count
from paredown.spaces.apply import predict_graph
from paredown.spaces.graph.blueprint import Blueprint
from paredown.spaces.models import build_model
from paredown.spaces.plan import Plan
from paredown.spaces.space import Space
from paredown.spaces.techniques import TECHNIQUES
from torch import nn

DEPTH = TECHNIQUES.get("depth")


def gone(blueprint: Blueprint, chosen: dict[str, float]) -> set[str]:
    """The blocks none of whose layers is left."""
    after = {layer.name for layer in predict_graph(blueprint, Plan.of({"depth": chosen})).layers}
    return {
        block.name
        for block in blueprint.structure.blocks
        if not after.intersection(blueprint.under(block.name))
    }


@pytest.mark.parametrize(
    ("name", "size", "chosen", "expected"),
    [
        ("resnet18", 32, {"stage1": 0.5}, {"layer1.1"}),
        ("resnet18", 32, {"stage1": 0.0}, {"layer1.0", "layer1.1"}),
        ("resnet18", 32, {"stage2": 0.0, "stage4": 0.0}, {"layer2.1", "layer4.1"}),
        ("resnet18", 32, {"stage2": 0.5}, set()),  # half of one block is one block
        ("resnet20", 32, {"stage1": 0.5}, {"layer1.2"}),
        ("resnet20", 32, {"stage3": 0.5}, {"layer3.2"}),
        ("mobilenet_v2", 32, {"stage3": 0.5}, {"features.6"}),
        ("efficientnet_b0", 32, {"stage2": 0.0}, {"features.2.1"}),
        ("convnext_tiny", 64, {"stage1": 0.3}, {"features.1.1", "features.1.2"}),
    ],
)
def test_the_last_repeated_blocks_go_and_those_that_change_shapes_stay(
    name: str,
    size: int,
    chosen: dict[str, float],
    expected: set[str],
    traced: Callable[..., Any],
) -> None:
    assert gone(traced(name, size).blueprint, chosen) == expected


@pytest.mark.parametrize("share", [0.5, 0.0])
@pytest.mark.parametrize(
    ("name", "size"),
    [("resnet20", 32), ("resnet50", 32), ("mobilenet_v3_small", 64), ("convnext_tiny", 64)],
)
def test_networks_come_out_as_predicted(
    name: str,
    size: int,
    share: float,
    traced: Callable[..., Any],
    assert_as_predicted: Callable[..., nn.Module],
) -> None:
    network, images, blueprint = traced(name, size)
    plan = Space.of(blueprint, {"depth": (1.0, share)}).uniform(1)
    shorter = Plan.of({"depth": plan.chosen("depth")})
    assert count(predict_graph(blueprint, shorter)).params < count(blueprint).params
    assert_as_predicted(network, images, blueprint, shorter)


def test_what_goes_is_two_3x3_convolutions_and_their_batch_norms(
    traced: Callable[..., Any],
) -> None:
    blueprint = traced("resnet18", 32).blueprint
    before = count(blueprint)
    after = count(predict_graph(blueprint, Plan.of({"depth": {"stage3": 0.0}})))
    weights = 2 * 256 * 256 * 9
    assert before.params - after.params == weights + 2 * 2 * 256
    assert before.macs - after.macs == weights * 2 * 2  # images of 2x2 pixels


def test_the_rest_computes_what_it_did(
    trained: Callable[[str], nn.Module],
    traced: Callable[..., Any],
    carry_out: Callable[..., nn.Module],
) -> None:
    network, images = trained("resnet20"), torch.randn(3, 3, 32, 32)
    by_hand = copy.deepcopy(network)
    for name in ("layer1.1", "layer1.2", "layer3.2"):
        by_hand.set_submodule(name, nn.Identity())
    plan = Plan.of({"depth": {"stage1": 0.3, "stage3": 0.5}})
    shorter = carry_out(network, images, traced("resnet20", 32).blueprint, plan)
    assert isinstance(shorter.get_submodule("layer3.2"), nn.Identity)
    with torch.no_grad():
        assert torch.equal(shorter(images), by_hand(images))
        assert not torch.equal(shorter(images), network(images))


@pytest.mark.parametrize("training", [True, False])
def test_what_stands_in_is_in_the_same_mode(
    training: bool, traced: Callable[..., Any], carry_out: Callable[..., nn.Module]
) -> None:
    network, images, blueprint = traced("resnet18", 32)
    network = copy.deepcopy(network).train(training)
    shorter = carry_out(network, images, blueprint, Plan.of({"depth": {"stage1": 0.0}}))
    assert {module.training for module in shorter.modules()} == {training}


def test_places_are_where_a_block_goes(traced: Callable[..., Any]) -> None:
    resnet = traced("resnet18", 32).blueprint
    assert DEPTH.places(resnet, 1.0) == ()
    assert DEPTH.places(resnet, 0.5) == ("stage1",)
    assert DEPTH.places(resnet, 0.0) == ("stage1", "stage2", "stage3", "stage4")
    for name in ("vgg11_bn", "squeezenet1_1", "googlenet"):
        assert DEPTH.places(traced(name, 64).blueprint, 0.0) == ()


def test_the_head_is_no_place(traced: Callable[..., Any]) -> None:
    # ConvNeXt's blocks end in linear layers, the last of which nothing but the head is behind.
    places = DEPTH.places(traced("convnext_tiny", 64).blueprint, 0.0)
    assert places == ("stage1", "stage2", "stage3", "stage4")


def test_removed_blocks_are_no_sites_any_more(traced: Callable[..., Any]) -> None:
    blueprint = traced("resnet18", 32).blueprint
    shorter = Plan.of({"depth": {"stage1": 0.0}})
    both = Plan.of({"depth": {"stage1": 0.0}, "block": {"stage1": "inverted"}})
    assert predict_graph(blueprint, both) == predict_graph(blueprint, shorter)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, True, "half", None, float("nan")])
def test_other_shares_are_refused(wrong: object) -> None:
    with pytest.raises(PlanError, match="expected a depth of at least 0 and at most 1, got"):
        DEPTH.parse(wrong)


def test_everything_and_nothing_are_shares() -> None:
    assert (DEPTH.parse(0), DEPTH.parse(1), DEPTH.parse(0.25)) == (0.0, 1.0, 0.25)


def test_training_goes_on_with_a_stage_emptied(
    traced: Callable[..., Any], carry_out: Callable[..., nn.Module]
) -> None:
    torch.manual_seed(0)
    network, images = build_model("resnet18", 10, 3), torch.randn(2, 3, 32, 32)
    blueprint = traced("resnet18", 32).blueprint
    every = dict.fromkeys(("stage1", "stage2", "stage3", "stage4"), 0.0)
    shorter = carry_out(network, images, blueprint, Plan.of({"depth": every}))
    scores = shorter.train()(images)
    assert scores.shape == (2, 10)
    scores.square().sum().backward()
    for name, parameter in shorter.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
