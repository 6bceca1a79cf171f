"""No two 8-bit weights of a channel add up to more than 16 bits hold, whatever the weights are."""

import copy
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from paredown.extras import missing_packages
from paredown.spaces.apply import apply_phase
from paredown.spaces.models import build_model
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.quantization.layers import Quantized, quantized
from paredown.spaces.quantization.rounding import rounded_integers, weight_scales
from paredown.spaces.quantization.widths import find_width
from paredown.spaces.technique import ApplyContext, Phase
from torch import nn

W8A8 = find_width("w8a8")
LARGEST, SMALLEST = 2**15 - 1, -(2**15)
"""What 16 bits hold."""

LAYERS: dict[str, Callable[[], nn.Conv2d | nn.Linear]] = {
    "conv": lambda: nn.Conv2d(3, 5, 3),
    "pointwise": lambda: nn.Conv2d(7, 4, 1, bias=False),
    "two weights": lambda: nn.Conv2d(2, 6, 1),
    "depthwise": lambda: nn.Conv2d(6, 6, 3, groups=6),
    "grouped": lambda: nn.Conv2d(4, 8, (1, 3), groups=2),
    "linear": lambda: nn.Linear(12, 7),
    "linear without bias": lambda: nn.Linear(5, 3, bias=False),
}
SPREADS = st.sampled_from(["normal", "heavy tails", "one sign", "equal", "one outlier", "zeros"])


def drawn(shape: torch.Size, spread: str, seed: int) -> torch.Tensor:
    """Weights of some distribution, at sizes from 1e-6 to 1e3, another for each channel."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(shape, generator=generator)
    if spread == "heavy tails":
        weight = weight**5
    elif spread == "one sign":
        weight = weight.abs()
    elif spread == "equal":
        weight = torch.ones(shape)
    elif spread == "one outlier":
        weight.flatten(1)[:, -1] = 40
    elif spread == "zeros":
        weight *= torch.rand(shape, generator=generator) > 0.7
    sizes = 10.0 ** (9 * torch.rand(len(weight), generator=generator) - 6)
    return weight * sizes.view(-1, *[1] * (weight.ndim - 1))


def levels(layer: Quantized) -> torch.Tensor:
    """The integers that a layer multiplies with, [out, weights of a channel]."""
    rows = layer.rounded_weight().detach().flatten(1).double() / layer.weight_scale.view(-1, 1)
    assert (rows - rows.round()).abs().max() < 1e-3
    return rows.round().long()


def extremes(rows: torch.Tensor) -> tuple[int, int]:
    """The least and the most that any two products of a channel add up to: by trying all pairs."""
    each = ~torch.eye(rows.shape[1], dtype=torch.bool)
    above, below = rows.clamp(min=0), rows.clamp(max=0)  # activations choose: 0 to 255 each
    most = (above[:, :, None] + above[:, None, :])[:, each]
    least = (below[:, :, None] + below[:, None, :])[:, each]
    return 255 * int(least.min()), 255 * int(most.max())


def fits(layer: Quantized) -> bool:
    least, most = extremes(levels(layer))
    return SMALLEST <= least <= most <= LARGEST


def stand_in(name: str, spread: str, seed: int, width: str = "w8a8") -> Quantized:
    layer = LAYERS[name]()
    with torch.no_grad():
        layer.weight.copy_(drawn(layer.weight.shape, spread, seed))
    return quantized(layer, find_width(width), (-1.0, 2.0))


@given(st.sampled_from(list(LAYERS)), SPREADS, st.integers(0, 2**16))
def test_no_pair_leaves_16_bits(name: str, spread: str, seed: int) -> None:
    assert fits(stand_in(name, spread, seed))


@given(
    st.sampled_from(list(LAYERS)), SPREADS, st.integers(0, 2**16), st.floats(0.1, 10), st.booleans()
)
def test_nor_when_weights_and_steps_have_moved(
    name: str, spread: str, seed: int, times: float, for_good: bool
) -> None:
    layer = stand_in(name, spread, seed)
    with torch.no_grad():
        noise = drawn(layer.weight.shape, "heavy tails", seed + 1).sign()
        layer.weight.add_(noise * layer.weight_scale.view(-1, *[1] * (layer.weight.ndim - 1)) * 40)
        layer.weight_scale.mul_(times)
    before = levels(layer)
    assert fits(layer)
    if for_good:
        layer.settle_pairs()
        assert torch.equal(levels(layer), before)
        steps = layer.weight_scale.clone()
        layer.widen_to_pairs()
        assert torch.equal(layer.weight_scale, steps)


@given(st.sampled_from(list(LAYERS)), SPREADS, st.integers(0, 2**16))
def test_only_channels_that_can_saturate_change(name: str, spread: str, seed: int) -> None:
    layer = stand_in(name, spread, seed)
    plain = stand_in(name, spread, seed, "w8a32")  # the same weights, no integer arithmetic
    plain.weight_scale.copy_(torch.maximum(plain.weight_scale, _steps_for_the_bias(layer)))
    for row, was, now, then in zip(
        levels(plain), plain.weight_scale, layer.weight_scale, levels(layer), strict=True
    ):
        least, most = extremes(row[None])
        if least >= SMALLEST and most <= LARGEST:
            assert now == was
            assert torch.equal(row, then)
        else:  # never as coarse as 7 bits everywhere
            assert was < now <= was * 127 / 63.9
            assert int(then.abs().max()) >= 64


def _steps_for_the_bias(layer: Quantized) -> torch.Tensor:
    """The least steps with which the bias fits 32 bits beside the sums: half of them."""
    if layer.bias is None:
        return torch.zeros_like(layer.weight_scale)
    return layer.bias.detach().abs() / (3 / 255 * (2**31 - 128) / 2)


@pytest.mark.parametrize("width", ["w4a8", "w6a8", "w8a32", "w8a16", "w2a8"])
def test_other_widths_stay_as_they_were(width: str) -> None:
    layer = stand_in("conv", "equal", 0, width)
    bits = layer.weight_bits
    assert torch.equal(layer.weight_scale, weight_scales(layer.weight, bits))
    plain = rounded_integers(layer.weight, layer.weight_scale, bits)
    assert torch.equal(layer.rounded_weight(), plain)
    if bits == 8:
        assert not fits(layer)  # in floating point it need not


def test_a_single_weight_has_no_pair() -> None:
    layer = quantized(nn.Conv2d(6, 6, 1, groups=6), W8A8, (0.0, 1.0))
    assert (levels(layer).abs() == 127).all()


def test_gradients_pass_but_for_what_is_cut_off() -> None:
    layer = quantized(nn.Linear(4, 1, bias=False), W8A8, (0.0, 1.0))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[120.0, 30.0, -127.0, -126.0]]))
        layer.weight_scale.fill_(1)
    assert levels(layer).tolist() == [[98, 30, -64, -64]]
    (slopes,) = torch.autograd.grad(layer.rounded_weight().sum(), layer.weight)
    assert slopes.tolist() == [[0, 1, 0, 0]]


@pytest.mark.parametrize("quantizer", ["qat", "nni-qat", "nni-lsq"])
def test_training_at_8_bits_keeps_to_pairs(quantizer: str) -> None:
    """Whatever training makes of the weights, and whatever steps it learns."""
    if quantizer != "qat" and missing_packages("nni"):
        pytest.skip("needs the extra nni")
    torch.manual_seed(0)
    network, images = build_model("resnet8", 10, 3).eval(), torch.randn(8, 3, 16, 16)
    blueprint = trace_with_groups(network, images[:2])
    bits = dict.fromkeys(blueprint.stages, "w8a8")
    plan = Plan.of({"bits": bits, "quantizer": {"network": quantizer}})
    scored = list[torch.Tensor]()

    def tune(network: nn.Module, share: float) -> None:
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if parameter.ndim > 1 and "scale" not in name:
                    parameter.mul_(1 + 3 * torch.rand_like(parameter))
            scored.append(network.eval()(images))

    context = ApplyContext(images[:2], [(images, torch.zeros(8))], tune)
    changed = apply_phase(copy.deepcopy(network), blueprint, plan, Phase.QUANTIZE, context).eval()
    results = [module for module in changed.modules() if isinstance(module, Quantized)]
    assert len(results) == 8
    assert all(fits(layer) for layer in results)
    if quantizer != "nni-qat":  # whose ranges were still on their way
        with torch.no_grad():
            error = (changed(images) - scored[-1]).norm() / scored[-1].norm()
        assert error < 0.06  # what was trained is what is kept; NNI rounds no sums and no biases
