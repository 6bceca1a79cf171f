"""Costs against fvcore, torch's FLOP counter, `numel` and formulas, never against themselves."""

import copy
import dataclasses
import math
import random
from collections.abc import Callable, Mapping
from functools import lru_cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from paredown.errors import ParedownError, PredictionMismatch
from paredown.objectives.cost.cost import Cost, check_prediction, count, measure
from paredown.spaces.apply import apply_phase, predict_graph
from paredown.spaces.graph.blueprint import Blueprint
from paredown.spaces.graph.tracing import example_images, trace
from paredown.spaces.models import build_model
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.space import Space
from paredown.spaces.technique import ApplyContext, Phase
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

MODELS = [("resnet20", 32), ("resnet18", 64), ("mobilenet_v2", 64)]
Bits = tuple[int, int]
BitsOf = Callable[[str], Bits]
"""Module name -> (weight bits, activation bits)."""


@lru_cache
def on_meta(name: str, size: int) -> tuple[nn.Module, torch.Tensor]:
    with torch.device("meta"):
        return build_model(name, 10, 3).eval(), example_images(3, size)


@lru_cache
def blueprint_of(name: str, size: int) -> Blueprint:
    return trace_with_groups(*on_meta(name, size))


def in_full(_: str) -> Bits:
    return 32, 32


def by_formula(network: nn.Module, images: torch.Tensor, bits_of: BitsOf) -> Cost:
    """MicroNet's rule over modules: weights b/32, all else 32 bits, operations max(w, a)/32.

    Integers of 8 bits or fewer bring scales along: 4 bytes per output channel of weights, 5 bytes
    per layer that reads them.
    """
    pixels = dict[str, int]()

    def recorder(name: str) -> Callable[..., None]:
        def record(_: nn.Module, __: object, output: torch.Tensor) -> None:
            seen = output.shape[2:].numel() if output.ndim == 4 else 1
            pixels[name] = pixels.get(name, 0) + seen

        return record

    computing = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }
    hooks = [m.register_forward_hook(recorder(name)) for name, m in computing.items()]
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()

    params = sum(parameter.numel() for parameter in network.parameters())
    weights = {name: module.weight.numel() for name, module in computing.items()}
    macs = {name: weights[name] * pixels[name] for name in computing}
    bits = {name: bits_of(name) for name in computing}
    stored = sum(n * bits[name][0] for name, n in weights.items())
    stored += 32 * (params - sum(weights.values()))
    outputs = {name: len(module.weight) for name, module in computing.items()}
    scales = sum(32 * outputs[name] for name in computing if bits[name][0] <= 8)
    scales += sum(40 for name in computing if bits[name][1] <= 8)
    return Cost(
        params=params,
        params_effective=stored / 32,
        macs=sum(macs.values()),
        flops_effective=2 * sum(n * max(bits[name]) for name, n in macs.items()) / 32,
        bops=sum(n * bits[name][0] * bits[name][1] for name, n in macs.items()),
        bytes=math.ceil((stored + scales) / 8),
    )


@pytest.mark.parametrize(("name", "size"), MODELS)
def test_figures_agree_with_torch(name: str, size: int) -> None:
    network, images = on_meta(name, size)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(images)
    cost = count(blueprint_of(name, size))
    params = sum(parameter.numel() for parameter in network.parameters())
    assert cost.params == cost.params_effective == params
    assert cost.bytes == 4 * params
    assert cost.flops == cost.flops_effective == counter.get_total_flops() / len(images)
    assert cost.macs * 2 == cost.flops
    assert cost.bops == cost.macs * 32 * 32


@pytest.mark.filterwarnings("ignore")  # fvcore traces with torch.jit, which says it is deprecated
@pytest.mark.parametrize(("name", "size"), MODELS)
def test_macs_agree_with_fvcore(name: str, size: int) -> None:
    from fvcore.nn import FlopCountAnalysis  # here, where its warnings are ignored

    torch.manual_seed(0)
    network, image = build_model(name, 10, 3).eval(), torch.zeros(1, 3, size, size)
    analysis = FlopCountAnalysis(network, image).unsupported_ops_warnings(False)
    by_operator = analysis.uncalled_modules_warnings(False).by_operator()
    assert measure(network, image).macs == by_operator["conv"] + by_operator["linear"]


def test_resnet20_agrees_with_its_paper() -> None:
    """He et al. 2016, table 6: 0.27 M parameters; the layers are those of section 4.2."""
    convolutions = [(3, 16, 32)] + [(16, 16, 32)] * 6
    convolutions += [(16, 32, 16)] + [(32, 32, 16)] * 5
    convolutions += [(32, 64, 8)] + [(64, 64, 8)] * 5
    weights = [9 * into * out for into, out, _ in convolutions]
    norms = [2 * out for _, out, _ in convolutions]
    macs = [9 * into * out * side**2 for into, out, side in convolutions]
    cost = count(blueprint_of("resnet20", 32))
    assert cost.params == sum(weights) + sum(norms) + 64 * 10 + 10
    assert round(cost.params / 1e6, 2) == 0.27
    assert cost.macs == sum(macs) + 64 * 10


@pytest.mark.parametrize(("name", "size"), MODELS)
def test_blueprints_and_networks_cost_the_same(name: str, size: int) -> None:
    network, images = on_meta(name, size)
    assert measure(network, images) == count(blueprint_of(name, size))
    assert measure(network, images) == by_formula(network, images, in_full)


def test_the_number_of_images_does_not_matter() -> None:
    network, _ = on_meta("resnet20", 32)
    images = torch.zeros(7, 3, 32, 32, device="meta")
    assert measure(network, images) == count(blueprint_of("resnet20", 32))


WIDTHS = st.tuples(st.integers(1, 32), st.integers(1, 32))


@settings(deadline=None, max_examples=25)
@given(random_bits=st.randoms(use_true_random=False), model=st.sampled_from(MODELS))
def test_any_bits_per_layer_follow_the_formula(
    random_bits: random.Random, model: tuple[str, int]
) -> None:
    blueprint = blueprint_of(*model)
    bits = {
        layer.name: (random_bits.randint(1, 32), random_bits.randint(1, 32))
        for layer in blueprint.layers
    }
    mixed = blueprint.with_layers(
        dataclasses.replace(
            layer, weight_bits=bits[layer.name][0], activation_bits=bits[layer.name][1]
        )
        for layer in blueprint.layers
    )
    assert count(mixed) == by_formula(*on_meta(*model), bits.__getitem__)


def test_mixed_bits_of_a_plan_follow_the_formula() -> None:
    torch.manual_seed(0)
    network, images = build_model("resnet20", 10, 3).eval(), torch.randn(2, 3, 32, 32)
    plan = Plan.of({"bits": {"stem": "w8a32", "stage1": "w8a8", "stage3": "w8a8", "head": "w8a32"}})
    bits = {"conv1": (8, 32), "layer1": (8, 8), "layer2": (32, 32), "layer3": (8, 8)}
    bits["linear"] = (8, 32)
    blueprint = blueprint_of("resnet20", 32)
    context = ApplyContext(images, [(images, torch.zeros(len(images), dtype=torch.long))])
    changed = apply_phase(copy.deepcopy(network), blueprint, plan, Phase.QUANTIZE, context)
    expected = by_formula(changed, images, lambda name: bits[name.partition(".")[0]])
    assert count(predict_graph(blueprint, plan)) == measure(changed, images) == expected


def test_eight_bits_everywhere_are_a_quarter_of_the_weights() -> None:
    blueprint = blueprint_of("resnet20", 32)
    full = count(blueprint)
    everywhere = Plan.of({"bits": dict.fromkeys(blueprint.stages, "w8a8")})
    cost = count(predict_graph(blueprint, everywhere))
    channels = 16 + 6 * 16 + 6 * 32 + 6 * 64
    weights = full.params - 2 * channels - 10  # less norms and the last bias
    assert cost.params == weights + channels + 10, "norms become biases"
    assert cost.params_effective == weights / 4 + channels + 10
    assert cost.bytes == weights + 4 * (channels + 10) + 4 * (channels + 10) + 5 * 20
    assert cost.flops_effective == full.flops / 4
    assert cost.bops == full.bops / 16
    assert (cost.macs, cost.flops) == (full.macs, full.flops)


def test_weights_alone_in_eight_bits_save_no_operations() -> None:
    blueprint = blueprint_of("resnet20", 32)
    plan = Plan.of({"bits": dict.fromkeys(blueprint.stages, "w8a32")})
    cost, full = count(predict_graph(blueprint, plan)), count(blueprint)
    assert cost.flops_effective == full.flops_effective
    assert cost.bops == full.bops / 4
    assert cost.params_effective < full.params_effective


def test_plans_of_all_techniques_cost_what_their_networks_cost() -> None:
    torch.manual_seed(0)
    network, images = build_model("resnet8", 10, 3).eval(), torch.randn(2, 3, 32, 32)
    blueprint = trace_with_groups(network, images)
    space = Space.of(blueprint, {"bits": ("w32a32", "w8a32")})
    plan = space.sample(random.Random(3))
    changed = copy.deepcopy(network)
    for phase in Phase:
        changed = apply_phase(
            changed,
            blueprint,
            plan,
            phase,
            ApplyContext(images, [(images, torch.zeros(len(images), dtype=torch.long))]),
        )
    quantized = plan.chosen("bits")
    stages = {layer.name: layer.stage for layer in predict_graph(blueprint, plan).layers}
    expected = by_formula(
        changed, images, lambda name: (8 if stages[name] in quantized else 32, 32)
    )
    assert quantized
    assert plan.through(Phase.PRUNE) != Plan()
    assert count(predict_graph(blueprint, plan)) == measure(changed, images) == expected


class Odd(nn.Module):
    """A convolution that runs twice, a layer that never runs, and a parameter outside of layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.unused = nn.Linear(5, 7)
        self.head = nn.Linear(3, 2)
        self.shift = nn.Parameter(torch.zeros(11))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(self.conv(x)).mean((2, 3))
        scores: torch.Tensor = self.head(x) + self.shift.sum()
        return scores


def test_shared_and_idle_layers_weigh_once_and_compute_as_often_as_they_run() -> None:
    cost = measure(Odd(), torch.zeros(2, 3, 4, 4))
    assert cost.params == (81 + 3) + (35 + 7) + (6 + 2) + 11
    assert cost.macs == 2 * 81 * 16 + 6


def test_bytes_are_rounded_up() -> None:
    network = nn.Sequential(nn.Conv2d(1, 3, 1, bias=False), nn.Flatten())
    blueprint = trace(network, torch.zeros(1, 1, 1, 1))
    three = blueprint.with_layers(dataclasses.replace(a, weight_bits=3) for a in blueprint.layers)
    assert count(three).bytes == 2 + 3 * 4  # nine bits, and a scale per channel


def test_measuring_leaves_the_network_as_it_was() -> None:
    network = build_model("resnet8", 10, 1).train()
    before = copy.deepcopy(network.state_dict())
    measure(network, torch.zeros(2, 1, 8, 8))
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


FIGURES = st.integers(0, 3)
COSTS = st.builds(Cost, FIGURES, FIGURES.map(float), FIGURES, FIGURES.map(float), FIGURES, FIGURES)


@given(COSTS)
def test_no_cost_beats_itself(cost: Cost) -> None:
    assert not cost.dominates(cost)


@given(COSTS, COSTS)
def test_no_two_costs_beat_each_other(one: Cost, other: Cost) -> None:
    assert not (one.dominates(other) and other.dominates(one))


@given(COSTS, COSTS, COSTS)
def test_what_beats_the_better_beats_the_worse(one: Cost, two: Cost, three: Cost) -> None:
    if one.dominates(two) and two.dominates(three):
        assert one.dominates(three)


@given(COSTS, COSTS)
def test_beating_is_about_the_two_objectives_alone(one: Cost, other: Cost) -> None:
    less = one.params_effective <= other.params_effective
    less &= one.flops_effective <= other.flops_effective
    same = one.objectives == other.objectives
    assert one.dominates(other) == (less and not same)


def test_costs_become_plain_figures() -> None:
    cost = count(blueprint_of("resnet20", 32))
    figures: Mapping[str, float] = cost.to_dict()
    assert figures["flops"] == 2 * figures["macs"]
    assert figures["params"] == cost.params
    names = {field.name for field in dataclasses.fields(Cost)} - {"chosen"}
    assert set(figures) == names | {"flops"}


def test_a_wrong_prediction_is_an_error_of_ours() -> None:
    cost = count(blueprint_of("resnet20", 32))
    check_prediction(cost, dataclasses.replace(cost), "the plan")
    for name in ("params", "macs", "bops", "bytes"):
        other = dataclasses.replace(cost, **{name: getattr(cost, name) + 1})
        with pytest.raises(PredictionMismatch, match=r"the plan.*please report"):
            check_prediction(cost, other, "the plan")
    assert issubclass(PredictionMismatch, ParedownError)
    assert PredictionMismatch.exit_code == 1
