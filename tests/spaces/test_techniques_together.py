"""All techniques at once, and what each must keep to: its places, its neutral, its words."""

import random
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pytest
import torch
from paredown.errors import InputError
from paredown.objectives.cost.cost import count
from paredown.spaces.apply import predict_graph
from paredown.spaces.blocks.families import variants
from paredown.spaces.graph.blueprint import Blueprint
from paredown.spaces.graph.input_sizes import SCALES
from paredown.spaces.graph.tracing import example_images
from paredown.spaces.models import build_model
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.space import Space
from paredown.spaces.technique import Technique, Value
from paredown.spaces.techniques import TECHNIQUES
from torch import nn

OPTIONS: dict[str, tuple[Value, ...]] = {
    "resolution": (1.0, *SCALES),
    "depth": (1.0, 0.5, 0.0),
    "neck": ("original", "conv", "inverted", "conv+features", "inverted+features"),
    "head": (*("original", "gap", "gap+nobias"), *("conv", "conv+bn", "conv+relu6")),
    "trunk": ("original", "thin", "thin-8"),
    "width": (1.0, 0.75, 0.5),
    "block": ("original", *variants()),
    "criterion": ("l1", "random"),
    "round": (8.0, 4.0, 1.0),
    "steps": (1.0, 2.0),
    "prune": (0.0, 0.25, 0.5),
    "sparse": (0.0, 0.5),
    "bits": ("w32a32", "w8a32"),  # activation ranges need numbers
    "quantizer": ("ptq",),  # the others train
}
NETWORKS = [
    *(("resnet18", 64), ("resnet20", 32), ("resnet50", 32), ("vgg11_bn", 64)),
    *(("mobilenet_v2", 32), ("mobilenet_v3_small", 64), ("efficientnet_b0", 32)),
    *(("googlenet", 64), ("convnext_tiny", 64), ("squeezenet1_1", 64)),
]
KIND = pytest.mark.parametrize("kind", list(TECHNIQUES), ids=lambda kind: kind.name)


@lru_cache
def regnet() -> tuple[nn.Module, torch.Tensor, Blueprint]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it cannot be built on the meta device itself
        network = build_model("regnet_y_400mf", 10, 3).to("meta")
    images = example_images(3, 32)
    return network, images, trace_with_groups(network, images)


@pytest.mark.parametrize(("name", "size"), NETWORKS)
def test_mixed_plans_come_out_as_predicted(
    name: str,
    size: int,
    traced: Callable[..., Any],
    assert_as_predicted: Callable[..., nn.Module],
) -> None:
    network, images, blueprint = traced(name, size)
    space = Space.of(blueprint, OPTIONS)
    plan = space.sample(random.Random(name))
    space.check(plan)
    assert Plan.from_json(plan.to_json()) == plan
    changed = assert_as_predicted(network, images, blueprint, plan)
    assert changed(images).shape == (2, 10)


def test_regnet_comes_out_as_predicted(assert_as_predicted: Callable[..., nn.Module]) -> None:
    network, images, blueprint = regnet()
    space = Space.of(blueprint, OPTIONS)
    assert_as_predicted(network, images, blueprint, space.sample(random.Random(0)))


@pytest.mark.parametrize(
    ("name", "seed"), [("resnet20", 0), ("resnet20", 1), ("resnet20", 2), ("squeezenet1_1", 0)]
)
def test_mixed_plans_train_to_finite_numbers(
    name: str, seed: int, traced: Callable[..., Any], carry_out: Callable[..., nn.Module]
) -> None:
    torch.manual_seed(seed)
    network, images = build_model(name, 10, 3), torch.randn(4, 3, 32, 32)
    blueprint = traced(name, 32).blueprint
    plan = Space.of(blueprint, OPTIONS | {"bits": ()}).sample(random.Random(seed))
    changed = carry_out(network, images, blueprint, plan).train()
    scores = changed(images)
    assert scores.shape == (4, 10)
    torch.autograd.backward(nn.functional.cross_entropy(scores, torch.arange(4)))
    for parameter in changed.parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all()


@pytest.mark.parametrize("family", ["fire", "fire+shuffle", "fire+published", "shuffle-bottleneck"])
@pytest.mark.parametrize("name", ["resnet18", "vgg11_bn", "squeezenet1_1"])
def test_what_follows_a_block_may_write_into_its_output(
    name: str,
    family: str,
    traced: Callable[..., Any],
    assert_as_predicted: Callable[..., nn.Module],
) -> None:
    # torchvision's networks add and rectify in place, which must not touch what gradients need.
    network, images, blueprint = traced(name, 64)
    chosen = Space.of(blueprint, {"block": ("original", family)}).uniform(1).chosen("block")
    assert_as_predicted(network, images, blueprint, Plan.of({"block": chosen}))


@KIND
@pytest.mark.parametrize(("name", "size"), NETWORKS)
def test_places_are_where_something_changes(
    kind: Technique, name: str, size: int, traced: Callable[..., Any]
) -> None:
    blueprint = traced(name, size).blueprint
    for value in dict.fromkeys(kind.default_options() + OPTIONS[kind.name][:6]):
        if value != kind.neutral:
            for place in kind.places(blueprint, value):
                assert kind.predict_graph(blueprint, {place: value}) != blueprint, (value, place)


@KIND
def test_nothing_chosen_changes_nothing(
    kind: Technique, traced: Callable[..., Any], carry_out: Callable[..., nn.Module]
) -> None:
    network, images, blueprint = traced("resnet18", 64)
    assert kind.predict_graph(blueprint, {}) == blueprint
    neutral = Plan.of({kind.name: dict.fromkeys(blueprint.stages, kind.neutral)})
    assert neutral == Plan()
    assert carry_out(network, images, blueprint, neutral).state_dict().keys() == (
        network.state_dict().keys()
    )


@KIND
def test_what_is_no_option_is_refused_by_the_plan_with_its_place(kind: Technique) -> None:
    with pytest.raises(InputError, match=rf"{kind.name}\.stage1: "):
        Plan.of({kind.name: {"stage1": "nonsense"}})


def test_depth_and_trunk_act_before_blocks_and_width(traced: Callable[..., Any]) -> None:
    names = [technique.name for technique in TECHNIQUES]
    assert names == list(OPTIONS)
    blueprint = traced("resnet50", 32).blueprint
    chosen = {"trunk": {"stage1": "thin"}, "block": {"stage1": "inverted"}}
    after = predict_graph(blueprint, Plan.of(chosen))
    expand = after.layer("layer1.1.branch.expand.conv")
    assert expand.reads.count(after.sizes) == 10
    assert expand.writes.count(after.sizes) == 64


def test_one_site_can_have_a_choice_of_its_own(
    traced: Callable[..., Any], assert_as_predicted: Callable[..., nn.Module]
) -> None:
    network, images, blueprint = traced("resnet20", 32)
    plan = Plan.of({"block": {"layer2.1.conv2": "ghost"}})
    changed = assert_as_predicted(network, images, blueprint, plan)
    names = {type(changed.get_submodule(f"layer2.{n}.conv2")).__name__ for n in (0, 2)}
    assert names == {"Conv2d"}
    assert type(changed.get_submodule("layer2.1.conv2")).__name__ == "GhostModule"
    saved = count(blueprint).params - count(predict_graph(blueprint, plan)).params
    assert saved == 32 * 32 * 9 - (32 * 16 * 9 + 16 * 9)


def test_a_site_goes_before_its_stage(
    traced: Callable[..., Any], assert_as_predicted: Callable[..., nn.Module]
) -> None:
    network, images, blueprint = traced("resnet18", 64)
    chosen = {"stage2": "separable", "layer2.1.conv1": "ghost", "layer2.0": "inverted"}
    changed = assert_as_predicted(network, images, blueprint, Plan.of({"block": chosen}))
    inside = {name for name, _ in changed.named_modules()}
    assert "layer2.0.branch.depthwise" in inside
    assert "layer2.1.conv1.primary" in inside
    assert "layer2.1.conv2.pointwise" in inside
    assert "layer1.0.conv1.pointwise" not in inside
