"""Bits per stage: what is offered where, what is folded, what is corrected, and what stays."""

import copy
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from paredown.errors import PlanError, UnknownName
from paredown.search.terminal.listings import techniques
from paredown.spaces.apply import apply_phase, predict_graph
from paredown.spaces.graph.blueprint import Blueprint
from paredown.spaces.graph.dataflow import watch
from paredown.spaces.graph.frozen import keep
from paredown.spaces.graph.input_sizes import analyse
from paredown.spaces.graph.tracing import on_meta, trace
from paredown.spaces.graph.zero_masks import zero_masks
from paredown.spaces.models import build_model
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.quantization.folding import fold, foldable
from paredown.spaces.quantization.layers import (
    HalfActivations,
    IntegerActivations,
    Quantized,
    quantized,
)
from paredown.spaces.quantization.observing import (
    correct_biases,
    read_together,
    written_apart,
)
from paredown.spaces.quantization.rounding import highest_level
from paredown.spaces.quantization.widths import BitWidth, find_width, shipped_widths
from paredown.spaces.quantizers import QUANTIZERS
from paredown.spaces.space import Space
from paredown.spaces.technique import ApplyContext, Phase
from paredown.spaces.techniques import TECHNIQUES
from torch import nn

KNOWN = (32, 16, 8, 6, 5, 4, 3, 2)
BITS = TECHNIQUES.get("bits")
FAMILIES = ["separable", "ghost", "nx1-1xn", "fire", "inverted"]

Trained = Callable[[str], nn.Module]
Change = Callable[..., nn.Module]


def everywhere(blueprint: Blueprint, width: str, **more: dict[str, object]) -> Plan:
    return Plan.of({"bits": dict.fromkeys(blueprint.stages, width), **more})


def images(count: int = 8, size: int = 32, seed: int = 1) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


@lru_cache
def _blueprint(name: str) -> Blueprint:
    return trace_with_groups(build_model(name, 10, 3), images(2))


def quantized_layers(network: nn.Module) -> dict[str, Quantized]:
    return {name: m for name, m in network.named_modules() if isinstance(m, Quantized)}


def norms(network: nn.Module) -> set[str]:
    return {name for name, m in network.named_modules() if isinstance(m, nn.BatchNorm2d)}


def outputs(
    network: nn.Module, names: list[str], shown: torch.Tensor
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """What layers read and write."""
    seen = dict[str, tuple[torch.Tensor, torch.Tensor]]()
    hooks = [
        network.get_submodule(name).register_forward_hook(
            lambda _, read, written, name=name: seen.update({name: (read[0], written)})
        )
        for name in names
    ]
    with torch.no_grad():
        network(shown)
    for hook in hooks:
        hook.remove()
    return seen


# Names


@given(st.sampled_from(KNOWN), st.sampled_from(KNOWN), st.booleans())
def test_names_are_read_back(weights: int, activations: int, edges: bool) -> None:
    name = f"w{weights}a{activations}{'+edges' if edges else ''}"
    width = find_width(name)
    assert (width.weights, width.activations) == (weights, activations)
    assert find_width(width.name) == width
    assert BITS.parse(name) == width.name
    # It makes a difference below 8 bits alone.
    assert width.edges == (edges and min(weights, activations) < 8)
    at_edge = width.at_edge()
    assert not at_edge.spares_edges
    assert width.edges or min(at_edge.weights, at_edge.activations) >= 8
    assert at_edge.weights >= weights
    assert at_edge.activations >= activations


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("w8a9", "w8a8"),
        ("W8A8", "w8a8"),
        ("w4a8+edge", "w4a8"),
        ("int8", "known|w8a8"),
        ("w7a8", "w8a8"),
        ("w1a1", "known|w16a16"),
        ("w8", "w8a8"),
        ("", "known|w8a8"),
    ],
)
def test_unknown_widths_name_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UnknownName, match=near) as caught:
        BITS.parse(name)
    assert "bit-width" in str(caught.value)


@pytest.mark.parametrize("value", [8, 8.0, None, True, ["w8a8"]])
def test_widths_are_names(value: object) -> None:
    with pytest.raises(PlanError, match="such as 'w8a8'"):
        BITS.parse(value)


def test_shipped_widths_ship_and_simulated_ones_do_not() -> None:
    names = [width.name for width in shipped_widths()]
    assert names == [
        *("w32a32", "w16a32", "w16a16", "w8a32", "w8a16"),
        *("w8a8", "w4a32", "w4a16", "w4a8"),
    ]
    assert all(width.ships for width in shipped_widths())
    assert set(BITS.default_options()) <= set(names)
    for name in ("w6a8", "w5a32", "w3a8", "w2a8", "w8a6", "w8a4", "w4a4+edges"):
        assert not find_width(name).ships
    assert find_width("w4a8+edges").ships


def test_listings_tell_which_are_simulated() -> None:
    rows = [row for row in techniques().rows if row["technique"] == "bits"]
    for width in shipped_widths():
        (row,) = (row for row in rows if row["name"] == width.name)
        assert "simulated" not in row["title"]
    (simulated,) = (row for row in rows if "simulated" in row["title"])
    for bits in (6, 5, 3, 2):
        assert f"w{bits}" in simulated["name"]
    assert any(row["name"] == "w4a8+edges" for row in rows)


# The first and the last layer


def offered(blueprint: Blueprint, *names: str) -> dict[str, tuple[object, ...]]:
    space = Space.of(blueprint, {"bits": names})
    return {d.place: d.options for d in space.dimensions if d.technique == "bits"}


def test_fewer_than_8_bits_spare_the_first_and_last_layer(traced: Callable[..., Any]) -> None:
    blueprint = traced("resnet20", 32).blueprint
    narrow = offered(blueprint, "w32a32", "w8a8", "w4a8")
    assert narrow["stem"] == narrow["head"] == ("w32a32", "w8a8")
    for stage in ("stage1", "stage2", "stage3"):
        assert narrow[stage] == ("w32a32", "w8a8", "w4a8")
    assert set(offered(blueprint, "w32a32", "w2a32")) == {"stage1", "stage2", "stage3"}
    with_edges = offered(blueprint, "w32a32", "w4a8+edges")
    assert set(with_edges) == {"stem", "stage1", "stage2", "stage3", "head"}
    space = Space.of(blueprint, {"bits": ("w32a32", "w4a8")})
    with pytest.raises(PlanError, match=r"bits\.stem"):
        space.check(Plan.of({"bits": {"stem": "w4a8"}}))


def bits_of(blueprint: Blueprint) -> dict[str, tuple[int, int]]:
    layers = (layer for layer in blueprint.layers if layer.computes)
    return {layer.name: (layer.weight_bits, layer.activation_bits) for layer in layers}


@pytest.mark.parametrize(
    ("width", "edge"), [("w4a8", (8, 8)), ("w2a32", (8, 32)), ("w8a4", (8, 8)), ("w4a16", (8, 16))]
)
def test_the_first_and_last_layer_get_8_bits(
    width: str, edge: tuple[int, int], traced: Callable[..., Any]
) -> None:
    blueprint = traced("resnet20", 32).blueprint
    bits = bits_of(predict_graph(blueprint, everywhere(blueprint, width)))
    bit_width = find_width(width)
    assert bits.pop("conv1") == bits.pop("linear") == edge
    assert set(bits.values()) == {(bit_width.weights, bit_width.activations)}
    everything = bits_of(predict_graph(blueprint, everywhere(blueprint, f"{width}+edges")))
    assert set(everything.values()) == {(bit_width.weights, bit_width.activations)}


def test_of_several_linear_layers_the_last_alone_is_spared(
    traced: Callable[..., Any], carry_out: Change
) -> None:
    network, shown, blueprint = traced("vgg11_bn", 64)
    assert "w4a32" in offered(blueprint, "w32a32", "w4a32")["head"]
    plan = Plan.of({"bits": {"head": "w4a32"}})
    bits = bits_of(predict_graph(blueprint, plan))
    head = {name: bits[name] for name in bits if name.startswith("classifier")}
    assert list(head.values()) == [(4, 32), (4, 32), (8, 32)]
    changed = carry_out(network, shown, blueprint, plan)
    assert {name: (m.weight_bits, 32) for name, m in quantized_layers(changed).items()} == head


# What is kept


def test_layers_that_are_kept_stay_at_32_bits(
    traced: Callable[..., Any], carry_out: Change
) -> None:
    network, shown, blueprint = traced("resnet18", 64)
    remaining = keep(blueprint, ["fc", "layer2.0.*"])
    assert "head" not in offered(remaining, "w32a32", "w8a32", "w4a32+edges")
    plan = Plan.of({"bits": dict.fromkeys(remaining.stages[:-1], "w8a32")})
    predicted = predict_graph(remaining, plan)
    changed = carry_out(network, shown, remaining, plan)
    for layer in predicted.layers:
        stays = layer.name == "fc" or layer.name.startswith("layer2.0.")
        assert layer.weight_bits == (32 if stays or not layer.computes else 8)
        module = changed.get_submodule(layer.name)
        assert isinstance(module, Quantized) == (not stays and layer.computes)
        assert type(module) is type(network.get_submodule(layer.name)) or not stays
    assert norms(changed) == {name for name in norms(network) if name.startswith("layer2.0.")}


# Folding


@pytest.mark.parametrize("name", ["resnet20", "mobilenet_v2", "densenet121"])
def test_folded_networks_compute_the_same(name: str, trained: Trained) -> None:
    network, shown = trained(name), images(4)
    blueprint = analyse(on_meta(network), shown.to("meta"))
    with torch.no_grad():
        wanted = network(shown)
    pairs = foldable(blueprint, {layer.name for layer in blueprint.layers})
    before = norms(network)
    fold(network, pairs)
    with torch.no_grad():
        got = network(shown)
    assert float((got - wanted).abs().max()) <= 1e-4 * float(wanted.abs().max())
    assert norms(network) == before - set(pairs.values())
    if name == "densenet121":  # most stand in front of their convolution
        stays = {name for name in before if ".norm1" in name or name.endswith((".norm", "norm5"))}
        assert norms(network) == stays
    else:
        assert not norms(network)


def test_layers_that_get_no_fewer_bits_keep_their_batch_norm(trained: Trained) -> None:
    network, shown = trained("resnet8"), images(4)
    blueprint = _blueprint("resnet8")
    plan = Plan.of({"bits": {"stage2": "w8a8"}})
    context = ApplyContext(shown[:2], [(shown, torch.zeros(4))])
    changed = apply_phase(network, blueprint, plan, Phase.QUANTIZE, context)
    assert norms(changed) == {"bn1", "layer1.0.bn1", "layer1.0.bn2", "layer3.0.bn1", "layer3.0.bn2"}
    assert trace(changed, shown).layer("layer2.0.conv1").bias


def test_folding_leaves_the_mode(trained: Trained) -> None:
    network = trained("resnet8").train()
    fold(network, foldable(_blueprint("resnet8"), {"conv1"}))
    assert isinstance(network.get_submodule("bn1"), nn.Identity)
    assert all(module.training for module in network.modules())


def test_batch_norm_that_is_kept_is_not_folded(
    trained: Trained, assert_as_predicted: Change
) -> None:
    blueprint = keep(_blueprint("resnet8"), ["bn1"])
    plan = everywhere(blueprint, "w8a8")
    changed = assert_as_predicted(trained("resnet8"), images(4), blueprint, plan)
    assert norms(changed) == {"bn1"}
    assert changed.get_submodule("conv1").bias is None


def test_other_modules_cannot_be_folded() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    with pytest.raises(TypeError, match="1 cannot be folded into 0"):
        fold(network, {"0": "1"})


def with_blocks(blueprint: Blueprint, family: str) -> dict[str, object]:
    space = Space.of(blueprint, {"block": ("original", family)})
    chosen: dict[str, object] = {**space.uniform(1).chosen("block")}
    assert chosen
    return chosen


@pytest.mark.parametrize("family", FAMILIES)
def test_blocks_with_bits_come_out_as_predicted(
    family: str, traced: Callable[..., Any], assert_as_predicted: Change, carry_out: Change
) -> None:
    network, shown, blueprint = traced("resnet20", 32)
    blocks = with_blocks(blueprint, family)
    plan = everywhere(blueprint, "w4a32", block=blocks)
    changed = assert_as_predicted(network, shown, blueprint, plan)
    # Batch norm stays where what it reads is no convolution's output.
    whole = carry_out(network, shown, blueprint, Plan.of({"block": blocks}))
    pairs = foldable(
        predict_graph(blueprint, plan.through(Phase.STRUCTURE)), quantized_layers(changed)
    )
    assert norms(changed) == norms(whole) - set(pairs.values())
    assert bool(norms(changed)) == (family == "ghost")


@pytest.mark.parametrize("family", FAMILIES)
def test_blocks_with_bits_compute_nearly_the_same(
    family: str, trained: Trained, carry_out: Change
) -> None:
    network, shown, blueprint = trained("resnet8"), images(4), _blueprint("resnet8")
    blocks = with_blocks(blueprint, family)
    whole = carry_out(network, shown, blueprint, Plan.of({"block": blocks})).eval()
    plan = everywhere(blueprint, "w8a8", block=blocks)
    changed = copy.deepcopy(whole)
    context = ApplyContext(shown[:2], [(shown, torch.zeros(4))])
    changed = apply_phase(changed, blueprint, plan, Phase.QUANTIZE, context)
    pairs = foldable(
        predict_graph(blueprint, plan.through(Phase.STRUCTURE)), quantized_layers(changed)
    )
    with torch.no_grad():
        wanted, got = whole(shown), changed(shown)
        fold(whole, pairs)
        torch.testing.assert_close(whole(shown), wanted, rtol=1e-4, atol=1e-4)
    assert 0 < float((got - wanted).norm() / wanted.norm()) < 0.2


@pytest.mark.parametrize(("family", "end"), [("separable", "pointwise"), ("nx1-1xn", "onexn")])
def test_batch_norm_behind_a_replaced_convolution_is_folded(
    family: str, end: str, trained: Trained, carry_out: Change
) -> None:
    plan = Plan.of({"block": {"stage1": family}, "bits": {"stage1": "w8a8"}})
    changed = carry_out(trained("resnet8"), images(4), _blueprint("resnet8"), plan)
    for conv, norm in (("conv1", "bn1"), ("conv2", "bn2")):
        last = changed.get_submodule(f"layer1.0.{conv}.{end}")
        assert isinstance(last, Quantized)
        assert last.bias is not None
        assert isinstance(changed.get_submodule(f"layer1.0.{norm}"), nn.Identity)


@pytest.mark.parametrize("name", ["mobilenet_v2", "densenet121"])
def test_great_networks_come_out_as_predicted(
    name: str, trained: Trained, assert_as_predicted: Change
) -> None:
    network, shown = trained(name), images(2)
    blueprint = analyse(on_meta(network), shown.to("meta"))
    changed = assert_as_predicted(network, shown, blueprint, everywhere(blueprint, "w4a8"))
    assert bool(norms(changed)) == (name == "densenet121")


# Biases


@pytest.mark.parametrize("bits", [2, 4])
def test_biases_make_up_for_what_rounding_shifts(bits: int, trained: Trained) -> None:
    network, shown = trained("resnet8"), images(16)
    names = [layer.name for layer in _blueprint("resnet8").layers if layer.computes]
    fold(network, foldable(_blueprint("resnet8"), names))
    before = outputs(network, names, shown)
    stand_ins = {
        name: quantized(network.get_submodule(name), BitWidth(bits, 32), None) for name in names
    }
    rounded = {name: layer.rounded_weight().detach() for name, layer in stand_ins.items()}
    weights = {name: network.get_submodule(name).get_parameter("weight").clone() for name in names}
    correct_biases(network, rounded, [shown[:8], shown[8:]])
    for name, stand_in in stand_ins.items():
        layer = network.get_submodule(name)
        assert torch.equal(layer.get_parameter("weight"), weights[name])
        read, wanted = before[name]
        axes = (0, 2, 3) if wanted.ndim == 4 else 0
        with torch.no_grad():
            plain = (stand_in(read) - wanted).mean(axes).abs()
            stand_in.bias = nn.Parameter(layer.get_parameter("bias"))
            corrected = (stand_in(read) - wanted).mean(axes).abs()
        assert corrected.max() < 1e-4 * wanted.abs().max()
        assert plain.max() > 100 * corrected.max()


@pytest.mark.parametrize("width", ["w2a8", "w4a8", "w4a32"])
def test_channel_means_are_nearer_with_corrected_biases(width: str, trained: Trained) -> None:
    """In the whole network, on images that calibration has not seen."""
    network, blueprint = trained("resnet20"), _blueprint("resnet20")
    examples = [(images(16, seed=seed), torch.zeros(16)) for seed in (3, 4)]
    context = ApplyContext(images(2), examples)
    changed = apply_phase(
        copy.deepcopy(network), blueprint, everywhere(blueprint, width), Phase.QUANTIZE, context
    )
    names = list(quantized_layers(changed))
    fold(network, foldable(blueprint, names))
    plain = copy.deepcopy(changed)
    for name, layer in quantized_layers(plain).items():
        layer.bias = nn.Parameter(network.get_submodule(name).get_parameter("bias"))
    shown = images(16, seed=5)
    wanted, with_it, without = (outputs(n, names, shown) for n in (network, changed, plain))
    layers = [name for name in names if wanted[name][1].ndim == 4]

    def error(got: dict[str, tuple[torch.Tensor, torch.Tensor]], name: str) -> float:
        difference = got[name][1] - wanted[name][1]
        return float(difference.mean((0, 2, 3)).abs().mean() / wanted[name][1].std())

    nearer = [name for name in layers if error(with_it, name) < error(without, name)]
    assert len(nearer) > 0.8 * len(layers)
    assert sum(error(with_it, name) for name in layers) < 0.6 * sum(
        error(without, name) for name in layers
    )


def test_layers_without_a_bias_get_none() -> None:
    without, with_one = nn.Linear(2, 2, bias=False), nn.Linear(2, 2)
    before = with_one.bias.detach().clone()
    rounded = {name: torch.zeros(2, 2) for name in ("0", "1")}
    correct_biases(nn.Sequential(without, with_one), rounded, [torch.ones(3, 2)])
    assert getattr(without, "bias", None) is None
    assert not torch.equal(with_one.bias, before)


# What is rounded


def rounders(changed: nn.Module) -> dict[str, bool]:
    return {
        name: isinstance(layer.outputs, IntegerActivations)
        for name, layer in quantized_layers(changed).items()
    }


def test_what_a_sum_reads_is_rounded_where_it_is_written(
    trained: Trained, carry_out: Change
) -> None:
    blueprint = _blueprint("resnet8")
    changed = carry_out(trained("resnet8"), images(4), blueprint, everywhere(blueprint, "w8a8"))
    assert rounders(changed) == {
        "conv1": False,  # an activation reads it
        "linear": False,  # nobody reads it
        **{f"layer{stage}.0.conv1": False for stage in (1, 2, 3)},
        **{f"layer{stage}.0.conv2": True for stage in (1, 2, 3)},
    }


def test_weights_alone_round_no_outputs(trained: Trained, carry_out: Change) -> None:
    blueprint = _blueprint("resnet8")
    for width in ("w8a32", "w8a16", "w16a16"):
        changed = carry_out(trained("resnet8"), images(4), blueprint, everywhere(blueprint, width))
        assert not any(rounders(changed).values())


class Crossings(nn.Module):
    """One convolution for each sort of reader."""

    def __init__(self) -> None:
        super().__init__()
        self.to_relu6, self.to_conv, self.to_silu, self.to_cat, self.to_two = (
            nn.Conv2d(3, 3, 1) for _ in range(5)
        )
        self.in_place = nn.Conv2d(3, 3, 1)
        self.last = nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.relu6(self.to_relu6(x))
        x = nn.functional.silu(self.to_silu(self.to_conv(x)))
        x = nn.functional.relu(self.in_place(x), inplace=True)
        both = self.to_two(x)
        x = torch.cat([self.to_cat(x), both.relu() + both], 1)
        out: torch.Tensor = self.last(x.mean((2, 3)))
        return out


def test_which_outputs_are_read_by_more_than_the_next_activation() -> None:
    network = Crossings()
    names = [name for name, module in network.named_modules() if name]
    flow = watch(network, images(2, size=4))
    assert written_apart(flow, names) == {"to_silu", "to_cat", "to_two"}
    assert written_apart(flow, ["to_conv", "to_cat"]) == {"to_cat"}


class Block(nn.Module):
    """A residual block, with or without a convolution on its shortcut."""

    def __init__(self, projected: bool) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 3, 1))
        self.shortcut: nn.Module = nn.Conv2d(3, 3, 1) if projected else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = nn.functional.relu(self.branch(x) + self.shortcut(x))
        return out


class Blocks(nn.Module):
    """A stem, a block that adds its input, one that projects it, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.first, self.second = nn.Conv2d(3, 3, 1), Block(False), Block(True)
        self.head = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.second(self.first(nn.functional.relu(self.stem(x))))
        out: torch.Tensor = self.head(x.mean((2, 3)))
        return out


def test_what_a_layer_and_a_sum_read_is_rounded_once_for_both(carry_out: Change) -> None:
    torch.manual_seed(0)
    network, shown = Blocks().eval(), images(4, size=8)
    layers = [name for name, m in network.named_modules() if isinstance(m, nn.Conv2d)]
    flow = watch(network, shown)
    assert read_together(flow, layers) == {"first": ["first.branch.0"]}
    assert read_together(flow, ["second.branch.0"]) == {}, "another convolution reads it, no sum"
    blueprint = trace_with_groups(network, shown)
    changed = carry_out(network, shown, blueprint, everywhere(blueprint, "w8a8"))
    read = dict[str, torch.Tensor]()

    def note(name: str) -> Callable[..., None]:
        return lambda module, inputs, output: read.__setitem__(name, inputs[0])

    changed.get_submodule("first.shortcut").register_forward_hook(note("sum"))
    changed.get_submodule("first.branch.0").register_forward_hook(note("layer"))
    changed(shown)
    assert torch.equal(read["sum"], read["layer"])
    assert len(set(read["sum"].flatten().tolist())) <= 256
    assert copy.deepcopy(changed).state_dict().keys() == changed.state_dict().keys()


def test_16_bits_round_to_float16(trained: Trained, carry_out: Change) -> None:
    network, shown, blueprint = trained("resnet8"), images(4), _blueprint("resnet8")
    changed = carry_out(network, shown, blueprint, everywhere(blueprint, "w16a16"))
    for layer in quantized_layers(changed).values():
        assert torch.equal(layer.rounded_weight(), layer.weight.half().float())
        assert isinstance(layer.inputs, HalfActivations)
    with torch.no_grad():
        got, wanted = changed.eval()(shown), network(shown)
    error = float((got - wanted).norm() / wanted.norm())
    assert 0 < error < 0.005


def on_levels(layer: Quantized) -> bool:
    shape = (-1, *[1] * (layer.weight.ndim - 1))
    levels = layer.rounded_weight().detach() / layer.weight_scale.view(shape)
    highest = highest_level(layer.weight_bits) + 0.01
    return float((levels - levels.round()).abs().max()) < 0.01 and bool(
        (levels.abs() < highest).all()
    )


@pytest.mark.parametrize("bits", [2, 3, 5, 6])
def test_simulated_widths_work(bits: int, trained: Trained, carry_out: Change) -> None:
    network, shown, blueprint = trained("resnet8"), images(8), _blueprint("resnet8")
    plan = everywhere(blueprint, f"w{bits}a{bits}+edges")
    changed = carry_out(network, shown, blueprint, plan)
    assert set(bits_of(trace(changed, shown)).values()) == {(bits, bits)}
    for layer in quantized_layers(changed).values():
        assert on_levels(layer)
        assert all(len(row.unique()) <= 2**bits - 1 for row in layer.rounded_weight().flatten(1))
    of_inputs = [m for m in changed.modules() if isinstance(m, IntegerActivations)]
    assert len(of_inputs) >= len(quantized_layers(changed)) - 1  # one block rounds for two layers
    assert all(len(m(torch.linspace(-99, 99, 999)).unique()) <= 2**bits for m in of_inputs)
    with torch.no_grad():
        assert torch.isfinite(changed.eval()(shown)).all()


# Zeros


@pytest.mark.parametrize("width", ["w8a8", "w4a8", "w2a32", "w16a16"])
def test_zeros_stay_zero(width: str, trained: Trained, carry_out: Change) -> None:
    network, shown, blueprint = trained("resnet8"), images(4), _blueprint("resnet8")
    sparse = dict.fromkeys(("stage1", "stage3", "head"), 0.6)
    plan = everywhere(blueprint, width, sparse=dict(sparse))
    changed = carry_out(network, shown, blueprint, plan)
    thin = carry_out(network, shown, blueprint, plan.through(Phase.PRUNE))
    predicted = predict_graph(blueprint, plan)
    for name, layer in quantized_layers(changed).items():
        zeros = predicted.layer(name).zeros
        was_zero = thin.get_submodule(name).get_parameter("weight") == 0
        assert int(was_zero.sum()) >= zeros
        assert bool(zeros) == (name.startswith(("layer1", "layer3", "linear")))
        assert (layer.rounded_weight()[was_zero] == 0).all()
        assert (layer.weight[was_zero] == 0).all()
        assert trace(changed, shown).layer(name).zeros == zeros


# Quantizers


class Tuning:
    """A few steps towards numbers of its own, as training is; notes the shares asked for."""

    def __init__(self, shown: torch.Tensor) -> None:
        self.shown, self.shares = shown, list[float]()

    def __call__(self, network: nn.Module, share: float) -> None:
        self.shares.append(share)
        optimizer = torch.optim.SGD(network.parameters(), 0.01)
        with zero_masks(network):
            for _ in range(3):
                loss = (network.train()(self.shown) - 1).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        network.eval()


def tuned(network: nn.Module, chosen: dict[str, object], tuning: Tuning | None) -> nn.Module:
    blueprint = _blueprint("resnet8")
    examples = [(images(8), torch.zeros(8))]
    context = ApplyContext(images(2), examples)
    if tuning:
        context = ApplyContext(images(2), examples, tuning)
    plan, network = Plan.of(chosen), copy.deepcopy(network)
    for phase in (Phase.PRUNE, Phase.QUANTIZE):
        network = apply_phase(network, blueprint, plan, phase, context)
    return network


def test_training_moves_weights_behind_their_levels(trained: Trained) -> None:
    network, tuning = trained("resnet8"), Tuning(images(8))
    bits = dict.fromkeys(_blueprint("resnet8").stages, "w4a8")
    chosen: dict[str, object] = {"bits": bits, "quantizer": {"network": "qat"}}
    before, after = tuned(network, {"bits": bits}, tuning), tuned(network, chosen, tuning)
    assert tuning.shares == [1.0]
    assert quantized_layers(before).keys() == quantized_layers(after).keys()
    for name, layer in quantized_layers(after).items():
        was = quantized_layers(before)[name]
        assert not torch.equal(layer.weight, was.weight)
        assert torch.equal(layer.weight_scale, was.weight_scale)
        assert on_levels(layer)
    moved = [
        name
        for name, layer in quantized_layers(after).items()
        if not torch.equal(layer.rounded_weight(), quantized_layers(before)[name].rounded_weight())
    ]
    assert moved
    with torch.no_grad():
        worse, better = ((n(images(8)) - 1).square().mean() for n in (before, after))
    assert better < worse


def test_training_leaves_zeros(trained: Trained) -> None:
    bits = dict.fromkeys(_blueprint("resnet8").stages, "w8a8")
    chosen: dict[str, object] = {"bits": bits, "sparse": {"stage2": 0.15}}
    before = tuned(trained("resnet8"), chosen, None)
    tuning = Tuning(images(8))
    chosen |= {"quantizer": {"network": "qat"}}
    after = tuned(trained("resnet8"), chosen, tuning)
    for name, layer in quantized_layers(after).items():
        if name.startswith("layer2"):
            was_zero = quantized_layers(before)[name].weight == 0
            assert was_zero.any()
            assert (layer.weight[was_zero] == 0).all()


def test_nothing_is_trained_where_only_the_shape_is_asked_for(trained: Trained) -> None:
    bits = dict.fromkeys(_blueprint("resnet8").stages, "w4a8")
    plain = tuned(trained("resnet8"), {"bits": bits}, None)
    chosen: dict[str, object] = {"bits": bits, "quantizer": {"network": "qat"}}
    shape = tuned(trained("resnet8"), chosen, None)
    for name, layer in quantized_layers(shape).items():
        assert torch.equal(layer.weight, quantized_layers(plain)[name].weight)


def test_a_quantizer_means_nothing_without_bits() -> None:
    assert Plan.of({"quantizer": {"network": "qat"}}) == Plan()
    plan = Plan.of({"bits": {"stage1": "w4a8"}, "quantizer": {"network": "qat"}})
    assert plan.trains_at_last
    assert Plan.from_json(plan.to_json()) == plan
    neutral = Plan.of({"bits": {"stage1": "w4a8"}, "quantizer": {"network": "ptq"}})
    assert neutral == Plan.of({"bits": {"stage1": "w4a8"}})
    assert not neutral.trains_at_last


def test_quantizers_are_registered_by_name() -> None:
    technique = TECHNIQUES.get("quantizer")
    assert {"ptq", "qat"} <= set(QUANTIZERS.names)
    assert [info.name for info in technique.infos()] == list(QUANTIZERS.names)
    for name in QUANTIZERS.names:
        assert technique.parse(name) == name
    with pytest.raises(UnknownName, match="qat"):
        technique.parse("qta")
    with pytest.raises(PlanError, match="expected a quantizer"):
        technique.parse(3)
