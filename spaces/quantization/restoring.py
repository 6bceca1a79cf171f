"""Restoring the rounding of activations according to a state dict."""

from collections.abc import Container

from torch import nn

from .layers import IntegerActivations, Quantized, QuantizedConv2d, QuantizedLinear
from .widths import INTEGER_BITS


def round_where_stored(network: nn.Module, names: Container[str]) -> None:
    """Make a quantized network round activations exactly where a state dict has scales.

    Quantizers may learn one scale per layer where calibration has one for several layers. The
    scales themselves must be loaded afterwards.

    Args:
        network: a network quantized by the same plan; changed in place.
        names: the keys of the state dict.
    """
    for name, module in list(network.named_modules()):
        if isinstance(module, QuantizedConv2d | QuantizedLinear):
            _restore_layer(module, name, names)
        elif hasattr(module, "rounded_inputs") and not _is_stored(f"{name}.rounded_inputs", names):
            module.rounded_inputs = nn.Identity()


def _restore_layer(layer: Quantized, name: str, names: Container[str]) -> None:
    for side in ("inputs", "outputs"):
        there = isinstance(getattr(layer, side), IntegerActivations)
        stored = _is_stored(f"{name}.{side}", names)
        if there and not stored:
            setattr(layer, side, nn.Identity())
        elif stored and not there and layer.activation_bits <= INTEGER_BITS:
            setattr(layer, side, IntegerActivations(layer.activation_bits, 0.0, 1.0))


def _is_stored(name: str, names: Container[str]) -> bool:
    return f"{name}.scale" in names
