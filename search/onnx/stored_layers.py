"""Layers for export: weights as integers with scales or float16, and quantized activations.

These layers emit ONNX operators during the export, and are used for nothing else. Integers are
written as QuantizeLinear and DequantizeLinear around the layer, which runtimes turn into integer
arithmetic: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html.
"""

import copy

import torch
from torch import nn

from ...spaces.graph.submodules import replace_module
from ...spaces.quantization.layers import (
    HalfActivations,
    IntegerActivations,
    Quantized,
    QuantizedConv2d,
    QuantizedLinear,
    Rounded,
)
from ...spaces.quantization.rounding import highest_level
from ...spaces.quantization.widths import FLOAT_BITS, INTEGER_BITS

OPSET = 21
"""The first opset with 4-bit integers."""

INT4, INT8, FLOAT16 = "int4_levels", "int8_levels", "float16_weight"
"""Names of tensors in the file.

NOTE: torch's exporter does not support 4-bit integers, and widens float16 that is read as float32.
Such tensors are exported in a wider type, and narrowed afterwards by these names.
"""

_NARROW = 4


def stored(network: nn.Module) -> nn.Module:
    """A copy of a network with layers for export in place of quantized ones, in eval mode."""
    network = copy.deepcopy(network).cpu().eval()
    for name, module in list(network.named_modules()):
        if isinstance(module, QuantizedConv2d | QuantizedLinear):
            replace_module(network, name, _stored_layer(module))
    for name, module in list(network.named_modules()):
        if isinstance(module, IntegerActivations):
            replace_module(network, name, _IntegerActivations(module))
    return network.eval()


class _Stored(Rounded):
    """A quantized layer that reads its weights from `stored`."""

    stored: nn.Module

    def rounded_weight(self) -> torch.Tensor:
        weight: torch.Tensor = self.stored()
        return weight


class _StoredConv2d(_Stored, QuantizedConv2d):  # type: ignore[misc]
    pass


class _StoredLinear(_Stored, QuantizedLinear):  # type: ignore[misc]
    pass


def _stored_layer(layer: Quantized) -> nn.Module:
    half = isinstance(layer.inputs, HalfActivations) and layer.weight_bits < FLOAT_BITS
    weights = _stored_weights(layer, half)
    layer.settle_bias()  # still in float32: runtimes quantize biases themselves
    layer.__class__ = _StoredConv2d if isinstance(layer, QuantizedConv2d) else _StoredLinear
    del layer.weight, layer.weight_scale
    if half:
        layer.inputs, layer.outputs = _Cast(torch.float16), _Cast(torch.float32)
        layer.half()
    else:
        layer.inputs, layer.outputs = _activations(layer.inputs), _activations(layer.outputs)
    layer.stored = weights
    return layer


def _stored_weights(layer: Quantized, half: bool) -> nn.Module:
    weight = layer.rounded_weight().detach()
    if layer.weight_bits <= INTEGER_BITS:
        read_as = torch.float16 if half else torch.float32
        return _Integers(weight, layer.weight_scale, layer.weight_bits, read_as)
    name = FLOAT16 if layer.weight_bits < FLOAT_BITS and not half else "weight"
    return _Floats(weight.half() if half else weight, name)


class _Floats(nn.Module):
    """Floating-point weights, [out, ...], under a given name."""

    def __init__(self, weight: torch.Tensor, name: str) -> None:
        super().__init__()
        self.name = name
        self.register_buffer(name, weight)

    def forward(self) -> torch.Tensor:
        return self.get_buffer(self.name)


class _Integers(nn.Module):
    """Integer weights, [out, ...], with a scale per output channel: DequantizeLinear.

    Scales stay float32 even where weights are read as float16, whose range may be too small.
    """

    scale: torch.Tensor

    def __init__(
        self, weight: torch.Tensor, scale: torch.Tensor, bits: int, read_as: torch.dtype
    ) -> None:
        super().__init__()
        self.read_as = read_as
        highest, shape = highest_level(bits), (-1, *[1] * (weight.ndim - 1))
        levels = (weight / scale.view(shape)).round().clamp(-highest, highest)
        self.name = INT4 if bits <= _NARROW else INT8
        self.register_buffer(self.name, levels.to(torch.int8))
        self.register_buffer("scale", scale)

    def forward(self) -> torch.Tensor:
        levels = self.get_buffer(self.name)
        weight: torch.Tensor = torch.onnx.ops.symbolic(
            "DequantizeLinear",
            (levels, self.scale),
            attrs={"axis": 0},
            dtype=self.scale.dtype,
            shape=levels.shape,
            version=OPSET,
        )
        return weight.to(self.read_as)


class _IntegerActivations(nn.Module):
    """QuantizeLinear and DequantizeLinear with 8 bits, whatever bit-width was simulated."""

    scale: torch.Tensor
    zero_point: torch.Tensor

    def __init__(self, simulated: IntegerActivations) -> None:
        super().__init__()
        self.register_buffer("scale", simulated.scale.detach())
        self.register_buffer("zero_point", simulated.zero_point.to(torch.uint8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parameters = (self.scale, self.zero_point)
        levels = torch.onnx.ops.symbolic(
            "QuantizeLinear", (x, *parameters), dtype=torch.uint8, shape=x.shape, version=OPSET
        )
        return torch.onnx.ops.symbolic(
            "DequantizeLinear",
            (levels, *parameters),
            dtype=torch.float32,
            shape=x.shape,
            version=OPSET,
        )


class _Cast(nn.Module):
    """Cast to a floating-point dtype."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.to(self.dtype)


def _activations(simulated: nn.Module) -> nn.Module:
    if isinstance(simulated, IntegerActivations):
        return _IntegerActivations(simulated)
    return nn.Identity()
