"""Quantization: rounded to the levels that integers have, no further than half a step."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from paredown.errors import TrainingDiverged
from paredown.spaces.apply import apply_phase
from paredown.spaces.graph.blueprint import Blueprint, Op
from paredown.spaces.graph.tracing import trace
from paredown.spaces.models import build_model
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.quantization.layers import Quantized, quantized
from paredown.spaces.quantization.observing import observe
from paredown.spaces.quantization.rounding import rounded_integers, weight_scales
from paredown.spaces.quantization.widths import BitWidth, find_width
from paredown.spaces.technique import ApplyContext, Phase
from torch import nn

LAYERS = {
    "conv": nn.Conv2d(3, 5, 3, stride=2, padding=1, dilation=2),
    "conv without bias": nn.Conv2d(4, 6, (3, 5), padding="same", bias=False),
    "depthwise": nn.Conv2d(6, 6, 3, groups=6),
    "grouped, reflecting": nn.Conv2d(4, 8, 3, padding=1, groups=2, padding_mode="reflect"),
    "linear": nn.Linear(12, 7),
    "linear without bias": nn.Linear(12, 7, bias=False),
}
OF_EVERY_LAYER = pytest.mark.parametrize("layer", LAYERS.values(), ids=list(LAYERS))
W8A8, W8A32 = find_width("w8a8"), find_width("w8a32")


def inputs_of(layer: nn.Module) -> torch.Tensor:
    torch.manual_seed(3)
    if isinstance(layer, nn.Conv2d):
        return torch.randn(2, layer.in_channels, 9, 9)
    return torch.randn(2, 12)


def rounded_weight(weight: torch.Tensor, bits: int) -> torch.Tensor:
    return rounded_integers(weight, weight_scales(weight, bits), bits)


@given(st.integers(2, 8), st.integers(0, 2**16), st.floats(1e-3, 1e3))
def test_weights_lie_on_symmetric_levels(bits: int, seed: int, spread: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(6, 4, 3, 3, generator=generator) * spread
    scales = weight_scales(weight, bits)
    rounded = rounded_integers(weight, scales, bits)
    highest = 2 ** (bits - 1) - 1
    assert rounded.shape == weight.shape
    assert scales.shape == (6,)
    for before, after, scale in zip(weight.flatten(1), rounded.flatten(1), scales, strict=True):
        levels = after / scale
        assert (levels - levels.round()).abs().max() < 1e-3
        assert levels.abs().max() < highest + 1e-3  # as many below zero as above
        assert len(after.unique()) <= 2**bits - 1
        clipped = before.clamp(-scale * highest, scale * highest)
        assert (after - clipped).abs().max() <= scale * 0.5001
        if bits >= 4:  # the levels reach the largest weight
            assert after.abs().max() == pytest.approx(before.abs().max())


@pytest.mark.parametrize("bits", [2, 3])
def test_few_levels_end_where_they_miss_least(bits: int) -> None:
    weight = torch.randn(16, 8, 3, 3, generator=torch.Generator().manual_seed(0))
    largest = weight.abs().flatten(1).amax(1)
    reaching = rounded_integers(weight, largest / (2 ** (bits - 1) - 1), bits)
    ours = (rounded_weight(weight, bits) - weight).square().flatten(1).sum(1)
    theirs = (reaching - weight).square().flatten(1).sum(1)
    assert (ours <= theirs).all()
    assert ours.sum() < 0.8 * theirs.sum()


def test_every_channel_has_its_own_scale() -> None:
    weight = torch.randn(2, 8, 3, 3)
    weight[1] *= 1e-3
    rounded = rounded_weight(weight, 8)
    for before, after in zip(weight, rounded, strict=True):
        assert (after - before).norm() / before.norm() < 0.02


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_channels_of_zeros_stay(bits: int) -> None:
    weight = torch.randn(3, 2, 3, 3)
    weight[1] = 0
    assert torch.equal(rounded_weight(weight, bits)[1], weight[1])
    assert torch.isfinite(rounded_weight(weight, bits)).all()


@pytest.mark.parametrize("width", ["w32a8", "w32a16"])
def test_weights_of_32_bits_stay(width: str) -> None:
    layer = nn.Conv2d(3, 5, 3)
    stand_in = quantized(layer, find_width(width), (-1.0, 1.0))
    assert torch.equal(stand_in.rounded_weight(), layer.weight)


def test_weights_and_activations_of_16_bits_are_float16() -> None:
    layer = nn.Linear(12, 7)
    stand_in = quantized(layer, find_width("w16a16"), None)
    x = torch.randn(4, 12)
    assert torch.equal(stand_in.rounded_weight(), layer.weight.half().float())
    assert torch.equal(stand_in.inputs(x), x.half().float())
    wanted = nn.functional.linear(x.half().float(), layer.weight.half().float(), layer.bias)
    assert torch.equal(stand_in(x), wanted)
    stand_in(x).sum().backward()
    assert stand_in.weight.grad is not None


def test_rounding_twice_is_rounding_once() -> None:
    once = rounded_weight(torch.randn(8, 4, 3, 3), 8)
    assert torch.allclose(rounded_weight(once, 8), once, rtol=1e-5, atol=0)


@given(st.floats(-100, 100), st.floats(0.01, 100), st.sampled_from([4, 8]), st.integers(0, 2**16))
def test_activations_lie_on_levels(low: float, span: float, bits: int, seed: int) -> None:
    rounder = quantized(nn.Linear(1, 1), BitWidth(32, bits), (low, low + span)).inputs
    low, high = min(low, 0.0), max(low + span, 0.0)  # zero is always a level
    scale = (high - low) / (2**bits - 1)
    x = torch.rand(4096, generator=torch.Generator().manual_seed(seed)) * (high - low) + low
    rounded = rounder(x)
    assert (rounded - x).abs().max() <= scale * 0.501 + 1e-5 * max(high, -low)
    steps = rounded / scale
    assert (steps - steps.round()).abs().max() < 0.01
    assert len(rounded.unique()) <= 2**bits
    assert rounder(torch.zeros(1)).item() == 0
    beyond = rounder(torch.tensor([low - 1000, high + 1000]))
    assert beyond[0] == pytest.approx(low, abs=scale)
    assert beyond[1] == pytest.approx(high, abs=scale)


def test_activations_let_gradients_through_within_their_range() -> None:
    rounder = quantized(nn.Linear(1, 1), W8A8, (-1.0, 1.0)).inputs
    x = torch.tensor([-5.0, -0.5, 0.0, 0.5, 5.0], requires_grad=True)
    rounder(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 1, 1, 1, 0]


@pytest.mark.parametrize("seen", [(0.0, 0.0), (3.0, 3.0), (-2.0, -2.0)])
def test_activations_of_one_value_are_no_trouble(seen: tuple[float, float]) -> None:
    stand_in = quantized(nn.Linear(4, 2), W8A8, seen)
    x = torch.full((1, 4), seen[0])
    assert torch.isfinite(stand_in(x)).all()
    assert torch.allclose(stand_in.inputs(x), x, rtol=0.01)


@OF_EVERY_LAYER
def test_a_stand_in_computes_with_rounded_numbers(layer: nn.Module) -> None:
    x = inputs_of(layer)
    before = copy.deepcopy(layer.state_dict())
    stand_in = quantized(layer, W8A8, (x.min().item(), x.max().item()))
    assert isinstance(stand_in, type(layer))
    assert torch.equal(stand_in.weight, before["weight"])  # as precise as it was
    rounded = copy.deepcopy(layer)
    levels = rounded_integers(before["weight"], stand_in.weight_scale, 8)
    rounded.load_state_dict(before | {"weight": levels})
    if layer.bias is not None:
        bias = stand_in.rounded_bias()
        assert bias is not None
        rounded.bias = nn.Parameter(bias)
    assert torch.equal(stand_in(x), rounded(stand_in.inputs(x)))
    error = (stand_in(x) - layer(x)).norm() / layer(x).norm()
    assert 0 < error < 0.02
    # The original is as it was, and shares no memory with its stand-in.
    assert all(torch.equal(layer.state_dict()[name], tensor) for name, tensor in before.items())
    with torch.no_grad():
        for parameter in stand_in.parameters():
            parameter.zero_()
    assert all(torch.equal(layer.state_dict()[name], tensor) for name, tensor in before.items())


@given(st.sampled_from([4, 8]), st.integers(0, 2**16), st.floats(1e-4, 1e4))
def test_biases_are_integers_of_the_sums_that_they_are_added_to(
    bits: int, seed: int, spread: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Linear(12, 7)
    with torch.no_grad():
        layer.bias.copy_(torch.randn(7, generator=generator) * spread)
    stand_in = quantized(layer, BitWidth(bits, 8), (-1.0, 2.0))
    step = 3 / 255 * stand_in.weight_scale.double()
    bias = stand_in.rounded_bias()
    assert bias is not None
    levels = bias.detach().double() / step
    assert ((levels - levels.round()).abs() < 1e-3 + levels.abs() * 1e-6).all()
    assert ((bias - layer.bias).abs() <= step * 0.51 + layer.bias.abs() * 1e-6).all()
    assert levels.abs().max() < 2**31
    assert stand_in.bias is not None
    (slope,) = torch.autograd.grad(bias.sum(), stand_in.bias)
    assert torch.equal(slope, torch.ones(7))


@pytest.mark.parametrize("width", ["w8a32", "w8a16", "w16a16", "w32a8"])
def test_biases_stay_where_the_arithmetic_is_not_of_integers(width: str) -> None:
    layer = nn.Linear(12, 7)
    stand_in = quantized(layer, find_width(width), (-1.0, 2.0))
    bias = stand_in.rounded_bias()
    assert bias is not None
    assert torch.equal(bias, layer.bias)


@pytest.mark.parametrize("bits", [4, 8])
def test_channels_without_weights_keep_their_bias(bits: int) -> None:
    """Their own step is so small that no integer of 32 bits would hold the bias."""
    layer = nn.Conv2d(3, 2, 3)
    layer.bias = nn.Parameter(torch.tensor([50.0, 0.5]))
    with torch.no_grad():
        layer.weight[0] = 0
    stand_in = quantized(layer, BitWidth(bits, 8), (0.0, 1.0))
    assert torch.allclose(stand_in(torch.rand(1, 3, 9, 9))[:, 0], torch.tensor(50.0))


@OF_EVERY_LAYER
def test_a_stand_in_of_weights_alone_leaves_activations(layer: nn.Module) -> None:
    x = inputs_of(layer)
    stand_in = quantized(layer, W8A32, None)
    assert isinstance(stand_in.inputs, nn.Identity)
    assert isinstance(stand_in.outputs, nn.Identity)
    assert (stand_in.weight_bits, stand_in.activation_bits) == (8, 32)
    assert stand_in(x).shape == layer(x).shape
    assert stand_in.training == layer.training


def test_a_stand_in_rounds_what_it_writes_where_it_is_told_to() -> None:
    layer, x = nn.Linear(12, 7), torch.randn(64, 12)
    stand_in = quantized(layer, W8A8, (-3.0, 3.0), (-1.0, 1.0))
    out = stand_in(x)
    assert out.abs().max() <= 1.01
    steps = out * 255 / 2
    assert (steps - steps.round()).abs().max() < 0.01


def test_integers_need_the_range_that_they_have() -> None:
    with pytest.raises(ValueError, match="expected a calibrated range"):
        quantized(nn.Linear(2, 2), W8A8, None)


def test_other_layers_have_no_stand_in() -> None:
    with pytest.raises(TypeError, match="a convolution or linear layer, got BatchNorm2d"):
        quantized(nn.BatchNorm2d(4), W8A8, (0.0, 1.0))


@pytest.mark.parametrize("bits", [4, 8])
def test_batch_norm_may_be_folded_before_or_after(bits: int) -> None:
    # Batch norm scales whole channels, and so do scales: of either sign.
    torch.manual_seed(0)
    weight, norm = torch.randn(16, 8, 3, 3), nn.BatchNorm2d(16)
    nn.init.normal_(norm.weight)
    variance = nn.init.uniform_(norm.get_buffer("running_var"), 0.1, 4)
    factor = (norm.weight / (variance + norm.eps).sqrt()).detach().view(-1, 1, 1, 1)
    assert (factor < 0).any()
    folded_before = rounded_weight(weight * factor, bits)
    folded_after = rounded_weight(weight, bits) * factor
    assert torch.allclose(folded_before, folded_after, rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def warmed() -> tuple[nn.Module, list[torch.Tensor], Blueprint]:
    """A resnet20 with random weights whose batch norms have seen images."""
    torch.manual_seed(0)
    network = build_model("resnet20", 10, 3)
    batches = [torch.randn(16, 3, 32, 32) for _ in range(3)]
    with torch.no_grad():
        for _ in range(5):
            for batch in batches:
                network.train()(batch)
    return network.eval(), batches, trace_with_groups(network, batches[0])


def everywhere(blueprint: Blueprint, width: str) -> Plan:
    return Plan.of({"bits": dict.fromkeys(blueprint.stages, width)})


def quantize(
    network: nn.Module, blueprint: Blueprint, plan: Plan, batches: list[torch.Tensor]
) -> nn.Module:
    context = ApplyContext(batches[0], [(batch, torch.zeros(len(batch))) for batch in batches])
    return apply_phase(copy.deepcopy(network), blueprint, plan, Phase.QUANTIZE, context)


@pytest.mark.parametrize(("width", "least"), [("w8a32", 30), ("w8a8", 20)])
def test_8_bits_come_close_to_floats(
    width: str, least: float, warmed: tuple[nn.Module, list[torch.Tensor], Blueprint]
) -> None:
    network, batches, blueprint = warmed
    changed = quantize(network, blueprint, everywhere(blueprint, width), batches)
    torch.manual_seed(7)
    x = torch.randn(32, 3, 32, 32)
    with torch.no_grad():
        wanted, got = network(x), changed(x)
    noise = (got - wanted).square().mean()
    ratio = 10 * math.log10(wanted.var() / noise)
    assert least < ratio < 80  # close, and yet not the same


def test_every_layer_is_rounded_and_says_so(
    warmed: tuple[nn.Module, list[torch.Tensor], Blueprint],
) -> None:
    network, batches, blueprint = warmed
    changed = quantize(network, blueprint, everywhere(blueprint, "w8a8"), batches)
    layers = trace(changed, batches[0]).layers
    assert all(layer.computes for layer in layers)  # batch norm is folded
    for layer in layers:
        assert (layer.weight_bits, layer.activation_bits, layer.bias) == (8, 8, True)
        module = changed.get_submodule(layer.name)
        assert isinstance(module, Quantized)
        assert all(len(row.unique()) <= 255 for row in module.rounded_weight().flatten(1))
        distinct = set(module.weight.flatten().tolist())
        assert len(distinct) > 0.99 * module.weight.numel()  # as precise as it was
    convs = [name for name, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert {name for name, _ in changed.named_parameters()} == {
        f"{name}.{parameter}" for name in convs for parameter in ("weight", "bias")
    }


def test_what_comes_out_can_be_trained_and_exported(
    warmed: tuple[nn.Module, list[torch.Tensor], Blueprint],
) -> None:
    network, batches, blueprint = warmed
    changed = quantize(network, blueprint, everywhere(blueprint, "w8a8"), batches)
    changed.train()(batches[0]).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in changed.parameters())
    x = batches[0][:2]
    exported = torch.export.export(changed.eval(), (x,)).module()
    assert torch.allclose(exported(x), changed(x), atol=1e-5)


def test_observes_what_layers_read_and_write() -> None:
    same = nn.Linear(2, 2, bias=False)
    nn.init.eye_(same.weight)
    last = nn.Linear(2, 1, bias=False)
    nn.init.ones_(last.weight)
    network = nn.Sequential(same, nn.ReLU(), last)
    batches = [torch.tensor([[1.0, -2.0]]), torch.tensor([[0.5, 3.0]])]
    seen = observe(network.train(), ["0", "2"], batches)
    assert {name: seen.reads for name, seen in seen.items()} == {"0": (-2.0, 3.0), "2": (0.0, 3.0)}
    assert {name: seen.writes for name, seen in seen.items()} == {"0": (-2.0, 3.0), "2": (1.0, 3.5)}
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())


def test_observing_changes_no_statistics() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    observe(network, ["0", "2"], [torch.randn(8, 2)])
    assert all(torch.equal(network.state_dict()[name], t) for name, t in before.items())


def test_observing_needs_images() -> None:
    network = nn.Sequential(nn.Linear(2, 2))
    assert observe(network, [], []) == {}
    with pytest.raises(ValueError, match=r"expected calibration images .* got none"):
        observe(network, ["0"], [])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_numbers_without_end_are_told_of_by_their_layer(bad: float) -> None:
    first = nn.Linear(2, 2)
    network = nn.Sequential(first, nn.Linear(2, 2))
    nn.init.constant_(first.weight, bad)
    with pytest.raises(TrainingDiverged, match="the input or output of 0"):
        observe(network, ["0", "1"], [torch.ones(1, 2)])
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("at", [0, 1, 2])
def test_no_batch_may_hold_what_is_no_number(at: int) -> None:
    batches = [torch.randn(4, 2) for _ in range(3)]
    batches[at][1, 1] = math.nan
    with pytest.raises(TrainingDiverged, match="the input or output of 0"):
        observe(nn.Sequential(nn.Linear(2, 2)), ["0"], batches)


def test_observing_leaves_the_mode_after_an_error() -> None:
    network = nn.Sequential(nn.Linear(2, 2)).train()
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        observe(network, ["0"], [torch.ones(1, 3)])
    assert network.training
    assert not network[0]._forward_hooks


def test_activation_bits_without_calibration_are_refused(
    warmed: tuple[nn.Module, list[torch.Tensor], Blueprint],
) -> None:
    network, batches, blueprint = warmed
    plan = Plan.of({"bits": {"stage1": "w8a8"}})
    context = ApplyContext(batches[0])
    with pytest.raises(ValueError, match="calibration images"):
        apply_phase(copy.deepcopy(network), blueprint, plan, Phase.QUANTIZE, context)


def test_weights_alone_can_be_planned_without_data(
    carry_out: Callable[..., nn.Module],
) -> None:
    with torch.device("meta"):
        network, images = build_model("resnet8", 10, 3), torch.zeros(2, 3, 32, 32)
    blueprint = trace_with_groups(network, images)
    changed = carry_out(network, images, blueprint, everywhere(blueprint, "w8a32"))
    bits = {a.weight_bits for a in trace(changed, images).layers if a.op is not Op.CHANNELWISE}
    assert bits == {8}
