"""Layers that round their weights and what they read, in floating point.

The numbers are those of narrow arithmetic, computed by torch's own fake-quantize operators, so
that any device can score and train them. Brevitas 0.13 and torchao were tried in their place: see
docs/quantization.md for the figures.
"""

from typing import Any

import torch
from torch import nn

from ..graph.zero_masks import STORED_ZEROS
from .rounding import (
    SMALLEST_SCALE,
    fitting_scales,
    paired_scales,
    rounded_half,
    rounded_integers,
    rounded_sums,
    weight_scales,
    within_pairs,
)
from .widths import FLOAT_BITS, INTEGER_BITS, BitWidth

Range = tuple[float, float]
"""The lowest and the highest value seen."""


class IntegerActivations(nn.Module):
    """Rounds activations to the levels of an unsigned integer type. Shapes: any -> the same.

    Args:
        bits: of the type.
        low, high: the range seen in calibration; widened to hold zero exactly.
    """

    scale: torch.Tensor
    zero_point: torch.Tensor

    def __init__(self, bits: int, low: float, high: float) -> None:
        super().__init__()
        self.bits, self.levels = bits, 2**bits - 1
        low, high = min(low, 0.0), max(high, 0.0)
        scale = max((high - low) / self.levels, SMALLEST_SCALE)
        self.register_buffer("scale", torch.tensor(scale))
        self.register_buffer("zero_point", torch.tensor(round(-low / scale), dtype=torch.int32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.fake_quantize_per_tensor_affine(
            x.float(), self.scale, self.zero_point, 0, self.levels
        )


class RoundedBefore(nn.Identity):
    """Stands where a layer's input comes rounded already, by a module around it.

    Attributes:
        by: what rounds. In a tuple: it belongs to the module around, and moves and loads with it.
    """

    def __init__(self, rounder: IntegerActivations) -> None:
        super().__init__()
        self.by = (rounder,)


class HalfActivations(nn.Module):
    """Rounds activations to float16. Shapes: any -> the same."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return rounded_half(x)


class Rounded(nn.Module):
    """What quantized layers share. `weight` stays as precise as it was; each pass rounds it.

    Attributes:
        weight_bits, activation_bits: of the weights, and of what it reads.
        weight_scale: [out], the step between levels; empty where weights are no integers.
        inputs, outputs: round what it reads and writes.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None
    weight_bits: int
    activation_bits: int
    weight_scale: torch.Tensor
    inputs: nn.Module
    outputs: nn.Module

    @property
    def has_pairs(self) -> bool:
        """Whether integer arithmetic may add its products in pairs that need not fit 16 bits."""
        return self.weight_bits == INTEGER_BITS and self.activation_bits <= INTEGER_BITS

    def rounded_weight(self) -> torch.Tensor:
        """The weights at their levels."""
        if self.weight_bits <= INTEGER_BITS:
            weight: torch.Tensor = self.weight
            if self.has_pairs:
                weight = within_pairs(weight, self.weight_scale)
            return rounded_integers(weight, self.weight_scale, self.weight_bits)
        return rounded_half(self.weight) if self.weight_bits < FLOAT_BITS else self.weight

    def settle_pairs(self) -> None:
        """Cut off for good what each pass cuts off: the weights are kept as they are rounded."""
        if self.has_pairs:
            with torch.no_grad():
                self.weight.copy_(within_pairs(self.weight, self.weight_scale))

    def widen_to_pairs(self) -> None:
        """Widen the steps where the weights would be cut off.

        So it is with steps from before version 0.5, which knew no pairs. Others stay as they are.
        """
        if self.has_pairs:
            self.weight_scale.copy_(paired_scales(self.weight, self.weight_scale))

    def rounded_bias(self) -> torch.Tensor | None:
        """The bias: an integer of 32 bits where weights and what is read are integers."""
        reads = _step(self.inputs)
        if self.bias is None or reads is None or self.weight_bits > INTEGER_BITS:
            return self.bias
        return rounded_sums(self.bias, reads * self.weight_scale)

    def settle_bias(self) -> None:
        """Keep the bias at its levels for good, as files do."""
        bias = self.rounded_bias()
        self.bias = None if bias is None else nn.Parameter(bias.detach())


class QuantizedConv2d(Rounded, nn.Conv2d):  # type: ignore[misc]
    """A convolution with rounded weights that rounds what it reads."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self._conv_forward(self.inputs(x), self.rounded_weight(), self.rounded_bias())
        rounded: torch.Tensor = self.outputs(out)
        return rounded


class QuantizedLinear(Rounded, nn.Linear):  # type: ignore[misc]
    """A linear layer with rounded weights that rounds what it reads."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = nn.functional.linear(self.inputs(x), self.rounded_weight(), self.rounded_bias())
        rounded: torch.Tensor = self.outputs(out)
        return rounded


Quantized = QuantizedConv2d | QuantizedLinear


def quantized(
    module: nn.Module, width: BitWidth, reads: Range | None, writes: Range | None = None
) -> Quantized:
    """A layer's quantized stand-in, with copies of its weights.

    Args:
        module: a convolution or linear layer.
        width: the bits it gets.
        reads: the range of its inputs; None leaves them as they are, unless they become float16.
        writes: the range of its outputs; None leaves them as they are.
    """
    if not isinstance(module, nn.Conv2d | nn.Linear):
        raise TypeError(f"expected a convolution or linear layer, got {type(module).__name__}")
    stand_in = _empty_stand_in(module)
    stand_in.weight = nn.Parameter(module.weight.detach().clone())
    if module.bias is not None:
        stand_in.bias = nn.Parameter(module.bias.detach().clone())
    stand_in.weight_bits, stand_in.activation_bits = width.weights, width.activations
    stand_in.inputs = _activations(width.activations, reads)
    stand_in.register_buffer("weight_scale", _scales(stand_in))
    stand_in.outputs = _activations(width.activations, writes) if writes else nn.Identity()
    setattr(stand_in, STORED_ZEROS, getattr(module, STORED_ZEROS, 0))
    return stand_in.to(module.weight.device).train(module.training)


def round_inputs(module: nn.Module, rounder: IntegerActivations) -> None:
    """Make a module round what it reads before anything inside reads it, in place.

    It gets a class of its own, as under torch's parametrizations: names of what is inside stay.
    """
    plain_class = type(module)

    def forward(self: nn.Module, x: torch.Tensor, *rest: object, **named: object) -> object:
        return plain_class.forward(self, self.get_submodule("rounded_inputs")(x), *rest, **named)

    module.rounded_inputs = rounder
    module.__class__ = type(f"Rounding{plain_class.__name__}", (plain_class,), {"forward": forward})


def plain(layer: Quantized) -> nn.Conv2d | nn.Linear:
    """An ordinary layer with the same parameters, not copies of them."""
    bias = layer.bias is not None
    other: nn.Conv2d | nn.Linear
    if isinstance(layer, QuantizedLinear):
        other = nn.Linear(layer.in_features, layer.out_features, bias, device="meta")
    else:
        other = nn.Conv2d(**_geometry(layer), bias=bias, device="meta")
    other.weight, other.bias = layer.weight, layer.bias
    setattr(other, STORED_ZEROS, getattr(layer, STORED_ZEROS, 0))
    return other.train(layer.training)


def _step(inputs: nn.Module) -> torch.Tensor | None:
    """Between the levels of what a layer reads; None if these are no integers."""
    rounder = inputs.by[0] if isinstance(inputs, RoundedBefore) else inputs
    return rounder.scale if isinstance(rounder, IntegerActivations) else None


def _scales(layer: Quantized) -> torch.Tensor:
    """The steps of its weights, [out]; empty where they are no integers."""
    if layer.weight_bits > INTEGER_BITS:
        return torch.empty(0)
    scales = weight_scales(layer.weight, layer.weight_bits)
    reads = _step(layer.inputs)
    if layer.bias is not None and reads is not None:
        scales = fitting_scales(scales, layer.bias, reads.to(scales.device))
    return paired_scales(layer.weight, scales) if layer.has_pairs else scales


def _activations(bits: int, seen: Range | None) -> nn.Module:
    if bits == FLOAT_BITS:
        return nn.Identity()
    if bits > INTEGER_BITS:
        return HalfActivations()
    if seen is None:
        raise ValueError("quantizing activations needs the range that they have")
    return IntegerActivations(bits, *seen)


def _empty_stand_in(module: nn.Conv2d | nn.Linear) -> Quantized:
    bias = module.bias is not None
    if isinstance(module, nn.Linear):
        return QuantizedLinear(module.in_features, module.out_features, bias, device="meta")
    return QuantizedConv2d(**_geometry(module), bias=bias, device="meta")


def _geometry(conv: nn.Conv2d) -> dict[str, Any]:
    return {
        "in_channels": conv.in_channels,
        "out_channels": conv.out_channels,
        "kernel_size": conv.kernel_size,
        "stride": conv.stride,
        "padding": conv.padding,
        "dilation": conv.dilation,
        "groups": conv.groups,
        "padding_mode": conv.padding_mode,
    }
