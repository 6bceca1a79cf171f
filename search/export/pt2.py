"""torch.export's files: https://docs.pytorch.org/docs/stable/export.html.

They compute in float32, with weights and activations at the levels that the plan's bit-widths
have: the answers are the network's, and the file is not smaller for them.
"""

import copy
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from ...spaces.quantization.layers import IntegerActivations, QuantizedConv2d, QuantizedLinear
from ...spaces.quantization.widths import FLOAT_BITS
from ...spaces.replacing import replace_module


def write_pt2(network: nn.Module, images: torch.Tensor, path: Path) -> None:
    """Write a network with a dynamic batch; the network stays as it was.

    Args:
        network: on the CPU.
        images: [2, channels, height, width], of the size that the file is for.
        path: of the file; its folder must exist.
    """
    batch = torch.export.Dim("batch", min=1)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter speaks of its own inner workings
        program = torch.export.export(_plain(network), (images,), dynamic_shapes=({0: batch},))
        torch.export.save(program, path)


def read_pt2(path: Path) -> nn.Module:
    """What runs a file. It may hold tensors and operators alone: nothing is unpickled."""
    with _nothing_unpickled(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.load(path).module()


class _Levels(nn.Module):
    """`IntegerActivations` in operators that a file may hold. Shapes: any -> the same."""

    scale: torch.Tensor
    zero_point: torch.Tensor

    def __init__(self, simulated: IntegerActivations) -> None:
        super().__init__()
        self.levels = simulated.levels
        self.register_buffer("scale", simulated.scale.detach())
        self.register_buffer("zero_point", simulated.zero_point.detach())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        level = (x.float() * (1 / self.scale)).round() + self.zero_point
        return (level.clamp(0, self.levels) - self.zero_point) * self.scale


def _plain(network: nn.Module) -> nn.Module:
    """A copy whose rounding is written out, and whose weights are rounded once and for all."""
    network = copy.deepcopy(network).eval()
    for name, module in list(network.named_modules()):
        if isinstance(module, QuantizedConv2d | QuantizedLinear):
            module.weight.data = module.rounded_weight().detach()
            module.weight_bits = FLOAT_BITS
        elif isinstance(module, IntegerActivations):
            replace_module(network, name, _Levels(module))
    return network.eval()


@contextmanager
def _nothing_unpickled() -> Iterator[None]:
    """Torch reads tensors alone: a file that asks for more is refused, whoever calls torch.load."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
