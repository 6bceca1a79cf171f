"""Dequantized networks: float32 operators only, with values at the levels of their bit-widths.

Their outputs are the quantized network's, on any runtime with torch's standard operators; their
size does not depend on bit-widths.
"""

import copy

import torch
from torch import nn

from ...spaces.graph.submodules import replace_module
from ...spaces.quantization.layers import IntegerActivations, QuantizedConv2d, QuantizedLinear
from ...spaces.quantization.widths import FLOAT_BITS


def dequantized(network: nn.Module) -> nn.Module:
    """A copy with explicit rounding of activations, and with rounded weights."""
    network = copy.deepcopy(network).eval()
    for name, module in list(network.named_modules()):
        if isinstance(module, QuantizedConv2d | QuantizedLinear):
            module.settle_bias()
            module.weight.data = module.rounded_weight().detach()
            module.weight_bits = FLOAT_BITS
        elif isinstance(module, IntegerActivations):
            replace_module(network, name, _Levels(module))
    return network.eval()


class _Levels(nn.Module):
    """`IntegerActivations` in standard operators. Shapes: any -> the same."""

    scale: torch.Tensor
    steps: torch.Tensor
    zero_point: torch.Tensor

    def __init__(self, simulated: IntegerActivations) -> None:
        super().__init__()
        self.levels = simulated.levels
        self.register_buffer("scale", simulated.scale.detach())
        self.register_buffer("steps", 1 / simulated.scale.detach())  # per unit
        self.register_buffer("zero_point", simulated.zero_point.detach())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        level = (x.float() * self.steps).round() + self.zero_point
        return (level.clamp(0, self.levels) - self.zero_point) * self.scale
