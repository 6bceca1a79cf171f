"""Fake-quantized layers: weights and inputs are rounded in floating point.

The values are those of integer or float16 arithmetic, computed by torch's fake-quantize operators,
so that any device can evaluate and train them. docs/quantization.md has a comparison with
Brevitas 0.13 and torchao.
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
"""The minimum and maximum of observed values."""


class IntegerActivations(nn.Module):
    """Rounds activations to the levels of an unsigned integer type. Shapes: any -> the same.

    Args:
        bits: the bits of the type.
        low, high: the calibrated range, which is widened to contain zero.
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
    """The `inputs` of a layer whose input is already rounded by an enclosing module.

    Attributes:
        by: the rounding module. It is in a tuple, so that it is no submodule here: it belongs to
            the enclosing module and is moved and loaded with that.
    """

    def __init__(self, rounder: IntegerActivations) -> None:
        super().__init__()
        self.by = (rounder,)


class HalfActivations(nn.Module):
    """Rounds activations to float16. Shapes: any -> the same."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return rounded_half(x)


class Rounded(nn.Module):
    """Base class of quantized layers. `weight` keeps full precision; each forward pass rounds it.

    Attributes:
        weight_bits, activation_bits: the bits of the weights and of the inputs.
        weight_scale: [out], the step between levels; empty if weights are not integers.
        inputs, outputs: modules that round the inputs and outputs.
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
        """Whether runtimes may add pairs of products in 16 bits (see `rounding.LARGEST_PAIR`)."""
        return self.weight_bits == INTEGER_BITS and self.activation_bits <= INTEGER_BITS

    def rounded_weight(self) -> torch.Tensor:
        """Return the rounded weights."""
        if self.weight_bits <= INTEGER_BITS:
            weight: torch.Tensor = self.weight
            if self.has_pairs:
                weight = within_pairs(weight, self.weight_scale)
            return rounded_integers(weight, self.weight_scale, self.weight_bits)
        return rounded_half(self.weight) if self.weight_bits < FLOAT_BITS else self.weight

    def settle_pairs(self) -> None:
        """Clamp the stored weights as each forward pass does (`rounding.within_pairs`)."""
        if self.has_pairs:
            with torch.no_grad():
                self.weight.copy_(within_pairs(self.weight, self.weight_scale))

    def widen_to_pairs(self) -> None:
        """Widen scales where `rounding.within_pairs` would clamp weights.

        Scales stored by versions before 0.5, which did not limit pairs, need this. Others do not
        change.
        """
        if self.has_pairs:
            self.weight_scale.copy_(paired_scales(self.weight, self.weight_scale))

    def rounded_bias(self) -> torch.Tensor | None:
        """Return the bias, rounded to int32 levels if weights and inputs are integers."""
        reads = _step(self.inputs)
        if self.bias is None or reads is None or self.weight_bits > INTEGER_BITS:
            return self.bias
        return rounded_sums(self.bias, reads * self.weight_scale)

    def settle_bias(self) -> None:
        """Round the stored bias, as exported files do."""
        bias = self.rounded_bias()
        self.bias = None if bias is None else nn.Parameter(bias.detach())


class QuantizedConv2d(Rounded, nn.Conv2d):  # type: ignore[misc]
    """A convolution with rounded weights and inputs."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self._conv_forward(self.inputs(x), self.rounded_weight(), self.rounded_bias())
        rounded: torch.Tensor = self.outputs(out)
        return rounded


class QuantizedLinear(Rounded, nn.Linear):  # type: ignore[misc]
    """A linear layer with rounded weights and inputs."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = nn.functional.linear(self.inputs(x), self.rounded_weight(), self.rounded_bias())
        rounded: torch.Tensor = self.outputs(out)
        return rounded


Quantized = QuantizedConv2d | QuantizedLinear


def quantized(
    module: nn.Module, width: BitWidth, reads: Range | None, writes: Range | None = None
) -> Quantized:
    """Build the quantized form of a layer, with copies of its weights.

    Args:
        module: a convolution or linear layer.
        width: the bit-widths.
        reads: the range of the inputs; required for integer activations, else ignored.
        writes: the range of the outputs; None leaves them unrounded.
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
    """Make a module round its input before its submodules read it, in place.

    The module's class is replaced by a subclass, as in torch's parametrizations, so that the names
    of submodules stay.
    """
    plain_class = type(module)

    def forward(self: nn.Module, x: torch.Tensor, *rest: object, **named: object) -> object:
        return plain_class.forward(self, self.get_submodule("rounded_inputs")(x), *rest, **named)

    module.rounded_inputs = rounder
    module.__class__ = type(f"Rounding{plain_class.__name__}", (plain_class,), {"forward": forward})


def plain(layer: Quantized) -> nn.Conv2d | nn.Linear:
    """Return a float layer that shares the parameters of a quantized one."""
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
    """Return the step between levels of a layer's inputs; None if they are not integers."""
    rounder = inputs.by[0] if isinstance(inputs, RoundedBefore) else inputs
    return rounder.scale if isinstance(rounder, IntegerActivations) else None


def _scales(layer: Quantized) -> torch.Tensor:
    """Compute the steps of a layer's weights, [out]; empty if they are not integers."""
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
        raise ValueError("expected a calibrated range for integer activations, got None")
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
