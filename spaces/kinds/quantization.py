"""Fewer bits per weight and per activation.

Uniform affine quantization as in Jacob et al.: Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference (2018), https://arxiv.org/abs/1712.05877: weights
symmetric, one scale per output channel; activations asymmetric, one scale per tensor, with the
range that calibration images showed. One scale per output channel makes the error independent of
whether batch norm is folded in before or after.

The numbers are those of integer arithmetic, computed in floating point (torch's own
fake-quantize operators), so that any device can score them.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ...errors import PlanError, TrainingDiverged
from ..blueprint import Blueprint, Layer, Op
from ..kind import Kind, Phase, Surroundings, Value
from ..registry import Registry
from ..replacing import replace_module
from ..technique import Technique

FLOAT_BITS = 32
_SMALLEST_SCALE = 1e-8


@dataclass(frozen=True)
class BitWidth:
    """Bits of the weights and of the activations that a layer reads: 8 and 8 is "w8a8"."""

    weights: int
    activations: int
    saves: str

    @property
    def name(self) -> str:
        return f"w{self.weights}a{self.activations}"


BIT_WIDTHS: Registry[BitWidth] = Registry("bit-width", see="paredown techniques")
BIT_WIDTHS.register(BitWidth(32, 32, "nothing"))
BIT_WIDTHS.register(BitWidth(8, 32, "4x of bytes"))
BIT_WIDTHS.register(BitWidth(8, 8, "4x of bytes and effective FLOPs"))


class Bits(Kind):
    """The bit-widths of a stage's convolutions and linear layers. Biases and norms stay at 32."""

    name = "bits"
    title = "bits of a stage's weights and activations"
    phase = Phase.QUANTIZE
    neutral = "w32a32"

    def default_options(self) -> tuple[Value, ...]:
        return BIT_WIDTHS.names

    def techniques(self) -> Iterable[Technique]:
        for width in BIT_WIDTHS:
            yield Technique(
                name=width.name,
                title=f"{width.weights}-bit weights, {width.activations}-bit inputs",
                replaces="convs, linear layers",
                saves=width.saves,
                paper="Jacob et al. 2018",
                link="https://arxiv.org/abs/1712.05877",
            )

    def parse(self, value: object) -> Value:
        if not isinstance(value, str):
            raise PlanError(f"expected a bit-width such as 'w8a8', got {value!r}")
        return BIT_WIDTHS.get(value).name

    def places(self, blueprint: Blueprint, value: Value) -> Sequence[str]:
        return blueprint.stages

    def foretell(self, blueprint: Blueprint, chosen: Mapping[str, Value]) -> Blueprint:
        return blueprint.with_layers(
            _with_bits(layer, BIT_WIDTHS.get(str(chosen[layer.stage])))
            if layer.stage in chosen and _computes(layer)
            else layer
            for layer in blueprint.layers
        )

    def apply(
        self,
        network: nn.Module,
        blueprint: Blueprint,
        chosen: Mapping[str, Value],
        around: Surroundings,
    ) -> nn.Module:
        widths = {
            layer.name: BIT_WIDTHS.get(str(chosen[layer.stage]))
            for layer in blueprint.layers
            if layer.stage in chosen and _computes(layer)
        }
        calibrated = [name for name, width in widths.items() if width.activations < FLOAT_BITS]
        ranges = observe_inputs(network, calibrated, around.calibration)
        for name, width in widths.items():
            stand_in = quantized(network.get_submodule(name), width, ranges.get(name))
            replace_module(network, name, stand_in)
        return network


class ActivationQuantizer(nn.Module):
    """Rounds activations to the levels of an integer type. Shapes: any -> the same.

    Args:
        bits: of an unsigned integer.
        low, high: the range seen in calibration; widened to hold zero exactly.
    """

    scale: torch.Tensor
    zero_point: torch.Tensor

    def __init__(self, bits: int, low: float, high: float) -> None:
        super().__init__()
        self.levels = 2**bits - 1
        low, high = min(low, 0.0), max(high, 0.0)
        scale = max((high - low) / self.levels, _SMALLEST_SCALE)
        self.register_buffer("scale", torch.tensor(scale))
        self.register_buffer("zero_point", torch.tensor(round(-low / scale), dtype=torch.int32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.fake_quantize_per_tensor_affine(
            x.float(), self.scale, self.zero_point, 0, self.levels
        )


class QuantizedConv2d(nn.Conv2d):
    """A convolution with rounded weights that rounds what it reads."""

    weight_bits: int
    activation_bits: int
    inputs: nn.Module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(self.inputs(x))


class QuantizedLinear(nn.Linear):
    """A linear layer with rounded weights that rounds what it reads."""

    weight_bits: int
    activation_bits: int
    inputs: nn.Module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(self.inputs(x))


def quantized(
    module: nn.Module, width: BitWidth, seen: tuple[float, float] | None
) -> QuantizedConv2d | QuantizedLinear:
    """A layer's quantized stand-in, with rounded copies of its weights.

    Args:
        module: a convolution or linear layer.
        width: the bits it gets.
        seen: the (low, high) range of its inputs; None leaves the activations as they are.
    """
    if not isinstance(module, nn.Conv2d | nn.Linear):
        raise TypeError(f"expected a convolution or linear layer, got {type(module).__name__}")
    stand_in = _empty_stand_in(module)
    stand_in.weight = nn.Parameter(rounded_weight(module.weight.detach(), width.weights))
    if module.bias is not None:
        stand_in.bias = nn.Parameter(module.bias.detach().clone())
    stand_in.weight_bits = width.weights
    stand_in.activation_bits = FLOAT_BITS if seen is None else width.activations
    stand_in.inputs = (
        nn.Identity() if seen is None else ActivationQuantizer(width.activations, *seen)
    ).to(stand_in.weight.device)
    return stand_in.train(module.training)


def rounded_weight(weight: torch.Tensor, bits: int) -> torch.Tensor:
    """A weight rounded symmetrically to `bits`, one scale per output channel (dimension 0)."""
    if bits >= FLOAT_BITS or weight.is_meta:  # torch's operator does not know the meta device
        return weight.clone()
    highest = 2 ** (bits - 1) - 1
    scale = weight.flatten(1).abs().amax(1).float().clamp_min(_SMALLEST_SCALE * highest) / highest
    zero = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(
        weight.float(), scale, zero, 0, -highest, highest
    ).to(weight.dtype)


def observe_inputs(
    network: nn.Module, names: Sequence[str], batches: Sequence[torch.Tensor]
) -> dict[str, tuple[float, float]]:
    """The range of what some modules read while the network runs over images.

    Args:
        network: is put in evaluation mode meanwhile.
        names: modules to watch.
        batches: [batch, channels, height, width], normalised.

    Raises:
        ValueError: there are modules to watch and no images.
        TrainingDiverged: the network computes infinite numbers, or none.
    """
    if names and not batches:
        raise ValueError("quantizing activations needs calibration images, got none")
    ranges = dict[str, tuple[float, float]]()
    hooks = [
        network.get_submodule(name).register_forward_pre_hook(_range_recorder(ranges, name))
        for name in names
    ]
    training = network.training
    with torch.no_grad():
        for batch in batches if names else ():
            network.eval()(batch)
    network.train(training)
    for hook in hooks:
        hook.remove()
    for name, (low, high) in ranges.items():
        if not math.isfinite(low) or not math.isfinite(high):
            raise TrainingDiverged(f"what {name} reads is no finite number")
    return ranges


def _range_recorder(ranges: dict[str, tuple[float, float]], name: str) -> Callable[..., None]:
    def record(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        low, high = inputs[0].float().aminmax()
        seen_low, seen_high = ranges.get(name, (low.item(), high.item()))
        ranges[name] = min(seen_low, low.item()), max(seen_high, high.item())

    return record


def _empty_stand_in(module: nn.Conv2d | nn.Linear) -> QuantizedConv2d | QuantizedLinear:
    bias = module.bias is not None
    if isinstance(module, nn.Linear):
        return QuantizedLinear(module.in_features, module.out_features, bias, device="meta")
    return QuantizedConv2d(
        module.in_channels,
        module.out_channels,
        _pair(module.kernel_size),
        _pair(module.stride),
        module.padding if isinstance(module.padding, str) else _pair(module.padding),
        _pair(module.dilation),
        module.groups,
        bias,
        module.padding_mode,
        device="meta",
    )


def _with_bits(layer: Layer, width: BitWidth) -> Layer:
    return layer.but(weight_bits=width.weights, activation_bits=width.activations)


def _computes(layer: Layer) -> bool:
    return layer.op in (Op.CONV, Op.LINEAR) and layer.positions > 0


def _pair(value: Iterable[int]) -> tuple[int, int]:
    first, second = value
    return first, second


__all__ = ["BIT_WIDTHS", "BitWidth", "Bits", "observe_inputs", "quantized", "rounded_weight"]
