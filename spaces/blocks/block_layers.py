"""Modules shared by several block families, imported only when a block is built."""

from __future__ import annotations

import torch
from torch import nn

from ..graph.sites import BlockSpec
from ..graph.structure import Shortcut
from .parts import Activation, normalised, pointwise


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation: pooling, reduction to a quarter, expansion, sigmoid gate per channel.

    Hu et al.: Squeeze-and-Excitation Networks (2018), https://arxiv.org/abs/1709.01507. Deviations:
    the two linear layers are 1x1 convolutions without bias, and the reduction is 4 instead of 16.

    Shapes: [batch, channels, h, w] -> the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = max(1, channels // 4)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze = pointwise(channels, squeezed)
        self.act = nn.ReLU()
        self.expand = pointwise(squeezed, channels)
        self.gate = nn.Sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate: torch.Tensor = self.gate(self.expand(self.act(self.squeeze(self.pool(x)))))
        return x * gate


class AroundIdentity(nn.Module):
    """Adds a block's input to its output, which has the same shape."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.block(x)
        return out + x


class Residual(nn.Module):
    """A branch plus the shortcut of a block spec, and an optional activation of the sum.

    Shapes: [batch, in, h, w] -> [batch, out, h/stride, w/stride].
    """

    def __init__(
        self,
        spec: BlockSpec,
        branch: nn.Module,
        activation: Activation | None = None,
        *,
        shortcut_bias: bool = False,
    ) -> None:
        super().__init__()
        self.branch = branch
        if spec.shortcut is Shortcut.PROJECTION:
            conv = nn.Conv2d(
                spec.in_channels, spec.out_channels, 1, spec.stride, bias=shortcut_bias
            )
            self.shortcut: nn.Module = normalised(conv)
        else:
            self.shortcut = nn.Identity()
        self.adds = spec.shortcut is not Shortcut.NONE
        self.act = nn.Identity() if activation is None else activation()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.branch(x)
        if self.adds:
            out = out + self.shortcut(x)
        summed: torch.Tensor = self.act(out)
        return summed
