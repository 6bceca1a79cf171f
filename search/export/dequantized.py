"""A network in float32 operators alone, its numbers at the levels that its bit-widths have.

Its answers are the network's, on any runtime that knows torch's plain operators; what it stores is
not smaller for the bits.
"""

import copy

import torch
from torch import nn

from ...spaces.graph.submodules import replace_module
from ...spaces.quantization.layers import IntegerActivations, QuantizedConv2d, QuantizedLinear
from ...spaces.quantization.widths import FLOAT_BITS


def dequantized(network: nn.Module) -> nn.Module:
    """A copy whose rounding is written out, and whose weights are rounded once and for all."""
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
    """`IntegerActivations` in operators that a file may hold. Shapes: any -> the same."""

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
