"""Zeros: how many, which ones, that they stay, and what they cost."""

import copy
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from paredown.errors import PlanError
from paredown.objectives.cost.cost import count, measure
from paredown.objectives.data import Augmentation, MemoryImages, Normalisation
from paredown.objectives.training.recipe import Recipe
from paredown.objectives.training.training_loop import train
from paredown.spaces.apply import apply_phase, predict_graph
from paredown.spaces.graph.blueprint import Blueprint
from paredown.spaces.graph.frozen import keep
from paredown.spaces.graph.zero_masks import STORED_ZEROS, zero_masks
from paredown.spaces.models import build_model
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.quantization.layers import QuantizedConv2d, QuantizedLinear
from paredown.spaces.space import Space
from paredown.spaces.technique import ApplyContext, Phase, no_training
from paredown.spaces.techniques import TECHNIQUES
from paredown.spaces.techniques.sparsity import Sparsity
from torch import nn

IMAGES = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
STAGES = ("stem", "stage1", "stage2", "stage3", "head")


@lru_cache
def known() -> tuple[nn.Module, Blueprint]:
    """A ResNet-8 with random weights, and its blueprint. Do not change it."""
    torch.manual_seed(0)
    network = build_model("resnet8", 10, 3)
    return network, trace_with_groups(network, IMAGES)


def everywhere(share: float, **others: Mapping[str, object]) -> Plan:
    return Plan.of({"sparse": dict.fromkeys(STAGES, share), **others})


def pruned(plan: Plan, tune: Callable[[nn.Module, float], None] = no_training) -> nn.Module:
    network, blueprint = known()
    context = ApplyContext(IMAGES, [(IMAGES, torch.arange(4))], tune)
    return apply_phase(copy.deepcopy(network), blueprint, plan, Phase.PRUNE, context)


def layers(network: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """The weights of convolutions and linear layers."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            yield name, module.weight.detach()


def zeros(network: nn.Module) -> dict[str, int]:
    return {name: int((weight == 0).sum()) for name, weight in layers(network)}


# How many, and which


@pytest.mark.parametrize("percent", [1, 7, 10, 20, 29, 36, 50, 57, 58, 90, 95])
def test_each_layer_loses_its_share_to_the_weight(percent: int) -> None:
    network, plan = pruned(everywhere(percent / 100)), everywhere(percent / 100)
    assert zeros(network) == {
        name: weight.numel() * percent // 100 for name, weight in layers(network)
    }
    predicted = predict_graph(known()[1], plan)
    assert {a.name: a.zeros for a in predicted.layers if a.computes} == zeros(network)
    assert measure(network, IMAGES) == count(predicted)


def test_the_smallest_go_and_the_others_stay_as_they_are() -> None:
    network, plan = known()[0], everywhere(0.6)
    after = pruned(plan).state_dict()
    for name, before in layers(network):
        weight = after[f"{name}.weight"]
        goes = weight == 0
        assert before[goes].abs().max() <= before[~goes].abs().min()
        assert torch.equal(weight[~goes], before[~goes])
    for name, tensor in network.state_dict().items():
        if "bn" in name or name.endswith("bias"):
            assert torch.equal(after[name], tensor)


def test_a_stage_that_is_not_named_keeps_its_weights() -> None:
    network = pruned(Plan.of({"sparse": {"stage2": 0.5}}))
    assert {name for name, count in zeros(network).items() if count} == {
        "layer2.0.conv1",
        "layer2.0.conv2",
    }
    assert [n for n, m in network.named_modules() if getattr(m, STORED_ZEROS, 0)] == [
        "layer2.0.conv1",
        "layer2.0.conv2",
    ]


# In rounds


ROUNDS = {
    0.1: [0.1],
    0.2: [0.2],
    0.3: [0.2, 0.3],
    0.36: [0.2, 0.36],
    0.5: [0.2, 0.36, 0.488, 0.5],
    0.6: [0.2, 0.36, 0.488, 0.5904, 0.6],
}


@pytest.mark.parametrize(("share", "rounds"), ROUNDS.items())
def test_a_fifth_of_what_remains_goes_per_round(share: float, rounds: list[float]) -> None:
    seen = list[tuple[float, float]]()

    def tune(network: nn.Module, part: float) -> None:
        weight = network.get_submodule("layer3.0.conv2").get_parameter("weight")
        seen.append((part, round(float((weight == 0).float().mean()), 4)))
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as training

    network = pruned(everywhere(share), tune)
    assert [part for part, _ in seen] == [0.25] * (len(rounds) - 1)
    assert [now for _, now in seen] == pytest.approx(rounds[:-1], abs=1e-4)
    total = 64 * 64 * 9
    assert zeros(network)["layer3.0.conv2"] == int(total * share + 1e-6)


def test_a_smaller_share_is_reached_and_then_left() -> None:
    seen = list[tuple[int, int]]()

    def tune(network: nn.Module, part: float) -> None:
        counts = zeros(network)
        seen.append((counts["layer1.0.conv1"], counts["layer3.0.conv2"]))

    pruned(Plan.of({"sparse": {"stage1": 0.3, "stage3": 0.5}}), tune)
    small, large = 16 * 16 * 9, 64 * 64 * 9
    assert seen == [
        (int(small * 0.2), int(large * 0.2)),
        (int(small * 0.3), int(large * 0.36)),
        (int(small * 0.3), int(large * 0.488)),
    ]


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_rounds_end_at_the_share_itself(share: float) -> None:
    network, counts = nn.Sequential(nn.Conv2d(3, 40, 3, padding=1), Mean(), nn.Linear(40, 5)), []
    blueprint = trace_once()
    plan = Plan.of({"sparse": {"stem": share}})

    def tune(network: nn.Module, part: float) -> None:
        counts.append(int((network.get_submodule("0").get_parameter("weight") == 0).sum()))

    context = ApplyContext(IMAGES, (), tune)
    apply_phase(network, blueprint, plan, Phase.PRUNE, context)
    tune(network, 0)
    predicted = predict_graph(blueprint, plan).layer("0").zeros
    assert counts[-1] == predicted
    assert abs(predicted - 1080 * share) <= 1
    remains = 1080.0
    for now in counts[:-1]:
        remains *= 0.8
        assert abs(1080 - now - remains) <= 1
        assert now <= predicted


class Mean(nn.Module):
    """[batch, channels, height, width] -> [batch, channels]."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3))


@lru_cache
def trace_once() -> Blueprint:
    network = nn.Sequential(nn.Conv2d(3, 40, 3, padding=1), Mean(), nn.Linear(40, 5))
    return trace_with_groups(network, IMAGES)


# Zeros stay zero


@pytest.mark.parametrize(("momentum", "decay"), [(0.0, 0.0), (0.9, 0.0), (0.9, 0.1)])
def test_training_leaves_zeros_at_zero(momentum: float, decay: float) -> None:
    network = pruned(everywhere(0.5))
    before = {name: weight.clone() for name, weight in layers(network)}
    learn(network, Recipe(3, 0.1, 0.1, 8, momentum, decay))
    for name, weight in layers(network):
        assert torch.equal(weight == 0, before[name] == 0), name
        assert not torch.equal(weight, before[name])
    assert measure(network, IMAGES) == count(predict_graph(known()[1], everywhere(0.5)))


def learn(network: nn.Module, recipe: Recipe) -> None:
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (24, 3, 16, 16), dtype=torch.uint8, generator=draw)
    images = MemoryImages(pixels, torch.arange(24) % 10)
    train(network, images, Normalisation((0.5,), (0.5,)), Augmentation(), recipe, seed=0)


def test_training_that_starts_with_some_momentum_leaves_them_too() -> None:
    """Weights that are thinned out while they learn, as between rounds: nothing moves them back."""
    network, blueprint = copy.deepcopy(known()[0]), known()[1]
    recipe = Recipe(1, 0.1, 0.1, 8, 0.9, 0.1)
    context = ApplyContext(IMAGES, (), lambda network, share: learn(network, recipe))
    learn(network, recipe)
    network = apply_phase(network, blueprint, everywhere(0.5), Phase.PRUNE, context)
    assert measure(network, IMAGES) == count(predict_graph(blueprint, everywhere(0.5)))
    wanted = {name: weight.numel() // 2 for name, weight in layers(network)}
    assert zeros(network) == wanted
    learn(network, recipe)
    assert zeros(network) == wanted


def test_only_what_is_sparse_is_held_and_only_meanwhile() -> None:
    network = pruned(Plan.of({"sparse": {"stage2": 0.5}}))
    with torch.no_grad():
        network.get_submodule("linear").get_parameter("weight")[0] = 0  # not pruning's
    sparse = network.get_submodule("layer2.0.conv1").get_parameter("weight")
    dense = network.get_submodule("linear").get_parameter("weight")
    with zero_masks(network):
        network(IMAGES).square().sum().backward()
        assert sparse.grad is not None
        assert bool((sparse.grad[sparse == 0] == 0).all())
        assert bool((sparse.grad[sparse != 0] != 0).any())
        assert dense.grad is not None
        assert bool((dense.grad[0] != 0).any())
    network.zero_grad()
    network(IMAGES).square().sum().backward()
    assert sparse.grad is not None
    assert bool((sparse.grad[sparse == 0] != 0).any())


def test_frozen_layers_can_be_sparse() -> None:
    network = pruned(everywhere(0.5))
    network.get_submodule("layer1").requires_grad_(False)
    with zero_masks(network):
        network(IMAGES).square().sum().backward()


@pytest.mark.parametrize("width", ["w4a8", "w8a8", "w16a16", "w2a32"])
def test_zeros_stay_zero_at_few_bits(width: str, carry_out: Callable[..., nn.Module]) -> None:
    network, blueprint = known()
    plan = everywhere(0.5, bits=dict.fromkeys(STAGES, width))
    sparse = dict(layers(carry_out(network, IMAGES, blueprint, everywhere(0.5))))
    changed = carry_out(network, IMAGES, blueprint, plan)
    for name, module in changed.named_modules():
        if isinstance(module, QuantizedConv2d | QuantizedLinear):
            goes = sparse.pop(name) == 0
            assert bool((module.rounded_weight()[goes] == 0).all()), name
            assert int(goes.sum()) == getattr(module, STORED_ZEROS)
    assert not sparse  # all of them
    assert measure(changed, IMAGES) == count(predict_graph(blueprint, plan))
    learn(changed, Recipe(1, 0.05, 0.1, 8))  # at these bits
    for name, weight in layers(changed):
        assert int((weight == 0).sum()) >= getattr(changed.get_submodule(name), STORED_ZEROS)


# What they cost


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_cost_by_its_formula(share: float) -> None:
    network, blueprint = known()
    dense, sparse = count(blueprint), count(predict_graph(blueprint, everywhere(share)))
    weights = [weight.numel() for _, weight in layers(network)]
    rest = sum(parameter.numel() for parameter in network.parameters()) - sum(weights)
    remaining = sum(total - int(total * share + 1e-6) for total in weights)
    bits = 32 * remaining + sum(weights) + 32 * rest  # and one bit per weight for the mask
    assert sparse.params_effective == bits / 32
    assert sparse.bytes == -(-bits // 8)
    assert sparse.params == dense.params
    assert sparse.macs == dense.macs
    assert sparse.flops_effective == dense.flops_effective
    assert sparse.bops == dense.bops


def test_cost_by_its_formula_at_4_bits() -> None:
    network, blueprint = known()
    bits = {"bits": dict.fromkeys(("stage1", "stage2", "stage3"), "w4a8")}
    dense = count(predict_graph(blueprint, Plan.of(bits)))
    sparse = count(predict_graph(blueprint, everywhere(0.5, **bits)))
    inner = sum(w.numel() for name, w in layers(network) if name.startswith("layer"))
    outer = sum(w.numel() for name, w in layers(network)) - inner
    saved = inner // 2 * 4 + outer // 2 * 32 - (inner + outer)
    assert dense.params_effective - sparse.params_effective == saved / 32
    assert dense.bytes - sparse.bytes == pytest.approx(saved / 8, abs=1)
    assert sparse.flops_effective == dense.flops_effective


def test_so_little_that_no_weight_goes_costs_nothing() -> None:
    plan = everywhere(1e-7)
    assert plan != Plan()
    assert count(predict_graph(known()[1], plan)) == count(known()[1])
    assert measure(pruned(plan), IMAGES) == count(known()[1])


# With other techniques, and in spaces


def test_what_channels_leave_is_thinned_out() -> None:
    _, blueprint = known()
    stages = {"prune": dict.fromkeys(("stage1", "stage2", "stage3"), 0.5)}
    plan = everywhere(0.5, **stages)
    changed = pruned(plan)
    cut = predict_graph(blueprint, Plan.of(stages))
    assert zeros(changed) == {
        layer.name: layer.weights(cut.sizes) // 2 for layer in cut.layers if layer.computes
    }
    assert sum(zeros(changed).values()) < sum(zeros(pruned(everywhere(0.5))).values()) / 3
    assert measure(changed, IMAGES) == count(predict_graph(blueprint, plan))


def test_kept_layers_stay_dense() -> None:
    network, blueprint = known()
    plan, context = everywhere(0.5), ApplyContext(IMAGES)
    remaining = keep(blueprint, ["linear", "layer2.*"])
    changed = apply_phase(copy.deepcopy(network), remaining, plan, Phase.PRUNE, context)
    assert {name for name, count in zeros(changed).items() if not count} == {
        "layer2.0.conv1",
        "layer2.0.conv2",
        "linear",
    }
    assert measure(changed, IMAGES) == count(predict_graph(remaining, plan))


def test_the_meta_device_is_enough_to_see_the_cost(
    traced: Callable[..., Any], assert_as_predicted: Callable[..., nn.Module]
) -> None:
    network, images, blueprint = traced("resnet20", 32)
    plan = Plan.of({"sparse": {"stage1": 0.5, "head": 0.9}})
    changed = assert_as_predicted(network, images, blueprint, plan)
    assert measure(changed, images) == count(predict_graph(blueprint, plan))


def test_it_is_searched_where_a_study_asks_for_it() -> None:
    blueprint = known()[1]
    assert "sparse" not in {dimension.technique for dimension in Space.of(blueprint).dimensions}
    space = Space.of(blueprint, {"sparse": (0.0, 0.5)})
    assert tuple(d.place for d in space.dimensions if d.technique == "sparse") == STAGES
    assert Plan.from_json(everywhere(0.5).to_json()) == everywhere(0.5)
    assert isinstance(TECHNIQUES.get("sparse"), Sparsity)


@pytest.mark.parametrize("wrong", [1.0, -0.1, "0.5", True, None])
def test_what_is_no_share_is_refused(wrong: object) -> None:
    with pytest.raises(PlanError, match="expected a sparsity of at least 0 and below 1"):
        TECHNIQUES.get("sparse").parse(wrong)
