"""What a plan will cost is known before it is done: predicted equals done, layer by layer."""

import copy
import random
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pytest
import torch
from paredown.spaces.apply import apply_phase, predict_graph
from paredown.spaces.graph.blueprint import Blueprint, Op
from paredown.spaces.graph.tracing import trace
from paredown.spaces.models import build_model
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.space import Space
from paredown.spaces.technique import ApplyContext, Phase, Value
from paredown.spaces.techniques import TECHNIQUES
from torch import nn

# Activation ranges need numbers, which the meta device has not.
WEIGHTS_ALONE: dict[str, tuple[Value, ...]] = {"bits": ("w32a32", "w8a32")}
WITH_NUMBERS = [("resnet20", 32), ("mobilenet_v2", 32), ("squeezenet1_1", 64)]
WITHOUT = [("resnet18", 32), ("vgg11_bn", 32), ("googlenet", 64), ("shufflenet_v2_x0_5", 32)]
ALONE_OR_MIXED = ["width", "block", "prune", "bits", "mixed 0", "mixed 1"]


@lru_cache
def real(name: str, size: int) -> tuple[nn.Module, torch.Tensor, Blueprint]:
    torch.manual_seed(0)
    network, images = build_model(name, 10, 3), torch.randn(4, 3, size, size)
    return network, images, trace_with_groups(network, images)


def chosen(space: Space, which: str) -> Plan:
    """The last options of one kind alone, or a seeded mixture of everything."""
    if which.startswith("mixed"):
        return space.sample(random.Random(int(which[-1])))
    everything = space.uniform(1)
    return Plan.of({which: everything.chosen(which)})


@pytest.mark.parametrize("which", ALONE_OR_MIXED)
@pytest.mark.parametrize(("name", "size"), WITH_NUMBERS)
def test_networks_come_out_as_predicted(
    name: str, size: int, which: str, assert_as_predicted: Callable[..., nn.Module]
) -> None:
    network, images, blueprint = real(name, size)
    plan = chosen(Space.of(blueprint), which)
    assert plan != Plan()
    changed = assert_as_predicted(network, images, blueprint, plan)
    with torch.no_grad():
        assert torch.isfinite(changed.eval()(images)).all()


@pytest.mark.parametrize("which", ALONE_OR_MIXED[:-1])
@pytest.mark.parametrize(("name", "size"), WITHOUT)
def test_networks_without_numbers_come_out_as_predicted(
    name: str,
    size: int,
    which: str,
    traced: Callable[..., Any],
    assert_as_predicted: Callable[..., nn.Module],
) -> None:
    network, images, blueprint = traced(name, size)
    plan = chosen(Space.of(blueprint, WEIGHTS_ALONE), which)
    assert_as_predicted(network, images, blueprint, plan)


def test_every_family_comes_out_as_predicted(
    traced: Callable[..., Any], assert_as_predicted: Callable[..., nn.Module]
) -> None:
    network, images, blueprint = traced("resnet20", 32)
    for family in TECHNIQUES.get("block").default_options()[1:]:
        space = Space.of(blueprint, {"block": ("original", family)})
        plan = Plan.of({"block": space.uniform(1).chosen("block")})
        assert_as_predicted(network, images, blueprint, plan)


def test_the_baseline_stays_as_it_is(assert_as_predicted: Callable[..., nn.Module]) -> None:
    network, images, blueprint = real("resnet20", 32)
    assert predict_graph(blueprint, Plan()) == blueprint
    assert_as_predicted(network, images, blueprint, Plan())
    changed = apply_phase(
        copy.deepcopy(network), blueprint, Plan(), Phase.STRUCTURE, ApplyContext(images)
    )
    with torch.no_grad():
        assert torch.equal(changed.eval()(images), copy.deepcopy(network).eval()(images))


def test_phases_build_up_to_the_plan() -> None:
    network, images, blueprint = real("resnet20", 32)
    plan = Space.of(blueprint).uniform(1)
    context = ApplyContext(images, [(images, torch.zeros(len(images), dtype=torch.long))])
    changed = copy.deepcopy(network)
    for phase in Phase:
        changed = apply_phase(changed, blueprint, plan, phase, context)
        predicted = predict_graph(blueprint, plan, phase)
        assert predicted == predict_graph(blueprint, plan.through(phase))
        done, sizes = trace(changed, images), predicted.sizes
        assert [layer.name for layer in done.layers] == [a.name for a in predicted.layers]
        assert [layer.macs({}) for layer in done.layers] == [
            layer.macs(sizes) for layer in predicted.layers
        ]


def test_layers_keep_the_stage_that_was_decided_about() -> None:
    _, _, blueprint = real("resnet20", 32)
    predicted = predict_graph(blueprint, Space.of(blueprint).uniform(1))
    for layer in predicted.layers:
        module = layer.name
        while module and not blueprint.under(module):
            module = module.rpartition(".")[0]
        assert module, layer.name
        assert layer.stage in {blueprint.layer(name).stage for name in blueprint.under(module)}


def test_width_follows_its_formula(traced: Callable[..., Any]) -> None:
    # All three stages at half width: every convolution but the stem a quarter.
    blueprint = traced("resnet20", 32).blueprint
    halves = Plan.of({"width": dict.fromkeys(("stage1", "stage2", "stage3"), 0.5)})
    predicted = predict_graph(blueprint, halves)
    for layer in predicted.layers:
        before = blueprint.layer(layer.name)
        share = {"conv1": 2, "linear": 2}.get(layer.name, 4)
        if layer.op is not Op.CHANNELWISE:
            assert layer.macs(predicted.sizes) * share == before.macs(blueprint.sizes)
        else:
            assert layer.other_params(predicted.sizes) * 2 == before.other_params(blueprint.sizes)


def test_width_then_pruning_compound(traced: Callable[..., Any]) -> None:
    blueprint = traced("resnet18", 32).blueprint
    plan = Plan.of({"width": {"stage4": 0.75}, "prune": {"stage4": 0.25, "stage3": 0.75}})
    sizes = predict_graph(blueprint, plan).sizes
    remaining = {"stage3": 1 / 4, "stage4": 9 / 16}  # a width is what stays, a ratio what goes
    for name, group in blueprint.groups.items():
        assert sizes[name] == group.size * remaining.get(group.stage, 1)


def test_bits_reach_convolutions_and_linear_layers_alone(traced: Callable[..., Any]) -> None:
    blueprint = traced("resnet20", 32).blueprint
    plan = Plan.of({"bits": {"stage1": "w8a8", "head": "w8a32"}})
    for layer in predict_graph(blueprint, plan).layers:
        expected = (32, 32)
        if layer.stage == "stage1" and layer.op is Op.CONV:
            expected = (8, 8)
        if layer.name == "linear":
            expected = (8, 32)
        assert (layer.weight_bits, layer.activation_bits) == expected


def test_what_the_plan_leaves_alone_keeps_its_weights(
    carry_out: Callable[..., nn.Module],
) -> None:
    network, images, blueprint = real("resnet20", 32)
    plan = Plan.of({"block": {"stage2": "separable"}, "bits": {"stage3": "w8a8"}})
    before = network.state_dict()
    after = carry_out(network, images, blueprint, plan).state_dict()
    for name, tensor in before.items():
        if (name.startswith("layer2") and "conv" in name) or name.startswith("layer3"):
            continue  # replaced, and folded with its batch norm
        assert torch.equal(after[name], tensor), name


def test_the_network_given_stays_out_of_the_copy(carry_out: Callable[..., nn.Module]) -> None:
    network, images, blueprint = real("resnet20", 32)
    before = copy.deepcopy(network.state_dict())
    carry_out(network, images, blueprint, Space.of(blueprint).uniform(1))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_stays(training: bool, carry_out: Callable[..., nn.Module]) -> None:
    network, images, blueprint = real("resnet20", 32)
    network = copy.deepcopy(network).train(training)
    for technique in TECHNIQUES.names:
        plan = chosen(Space.of(blueprint), technique)
        changed = carry_out(network, images, blueprint, plan)
        assert {module.training for module in changed.modules()} == {training}
