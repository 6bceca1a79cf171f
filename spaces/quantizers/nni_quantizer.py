"""NNI's quantizers: quantization-aware training with learned scales."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy_imports import nn, torch
from ..graph.submodules import replace_module
from ..nni import nni_info
from ..quantization.widths import FLOAT_BITS, INTEGER_BITS
from ..technique import ApplyContext
from .quantizer import Quantizer

if TYPE_CHECKING:
    from ..nni.quantizing import LearnedScales
    from ..quantization.layers import Quantized

_TITLES = {
    "nni-qat": ("NNI's QATQuantizer: moving-average ranges", "Jacob et al. 2018", "1712.05877"),
    "nni-lsq": (
        "NNI's LsqQuantizer: learned step sizes",
        "LSQ, Esser et al. 2020",
        "1902.08153",
    ),
}


class NniQuantizer(Quantizer):
    """A quantizer of NNI. It trains float layers; the quantized layers copy the learned scales.

    Args:
        name: a key of `paredown.spaces.nni.QUANTIZERS`.
    """

    def __init__(self, name: str) -> None:
        self.info = nni_info(name, *_TITLES[name], saves="costs a training at each bit-width")

    def train(self, network: nn.Module, context: ApplyContext) -> None:
        from ..nni.quantizing import learned_quantization
        from ..quantization.layers import (
            IntegerActivations,
            QuantizedConv2d,
            QuantizedLinear,
            plain,
        )
        from ..quantization.observing import observe

        layers = {
            name: module
            for name, module in network.named_modules()
            if isinstance(module, QuantizedConv2d | QuantizedLinear)
        }
        for module in network.modules():
            if isinstance(getattr(module, "rounded_inputs", None), IntegerActivations):
                module.rounded_inputs = nn.Identity()  # each layer learns a scale of its own
        for name, layer in layers.items():
            replace_module(network, name, plain(layer))
        learned = learned_quantization(
            network,
            {name: _bits(layer) for name, layer in layers.items()},
            lambda rounding: context.tune(rounding, 1.0),
            self.name,
            context.calibration,
        )
        apart = [n for n, layer in layers.items() if isinstance(layer.outputs, IntegerActivations)]
        seen = observe(network, apart, context.calibration)
        for name, layer in layers.items():
            if name in learned:
                _take_over(layer, learned[name])
            if name in seen:
                layer.outputs = IntegerActivations(layer.activation_bits, *seen[name].writes)
            replace_module(network, name, layer.to(layer.weight.device))


def _take_over(layer: Quantized, learned: LearnedScales) -> None:
    from ..quantization.layers import IntegerActivations
    from ..quantization.rounding import highest_level

    if learned.weight is not None:
        layer.weight_scale.copy_(learned.weight)
        _cut_off(layer, highest_level(_bits(layer)[0]))
    if learned.inputs is not None:
        layer.inputs = IntegerActivations(layer.activation_bits, 0.0, 1.0)
        scale, zero_point = learned.inputs
        layer.inputs.scale.fill_(scale)
        layer.inputs.zero_point.fill_(zero_point)


def _cut_off(layer: Quantized, highest: int) -> None:
    """Clamp the weights to the levels of their training, if the layer has more levels.

    NNI leaves weights as they were before rounding.
    """
    most = (layer.weight_scale * highest).view(-1, *[1] * (layer.weight.ndim - 1))
    with torch.no_grad():
        layer.weight.clamp_(-most, most)


def _bits(layer: Quantized) -> tuple[int, int]:
    """Return the bits of weights and inputs for which NNI learns scales; float16 has none.

    NNI cannot restrict pairs of 8-bit weights to 16-bit sums (see `rounding.LARGEST_PAIR`), so it
    trains 7-bit weights, which never exceed these.
    """
    weights, activations = layer.weight_bits, layer.activation_bits
    if layer.has_pairs:
        weights = INTEGER_BITS - 1
    return (
        weights if weights <= INTEGER_BITS else FLOAT_BITS,
        activations if activations <= INTEGER_BITS else FLOAT_BITS,
    )
