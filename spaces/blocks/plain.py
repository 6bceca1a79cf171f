"""The original convolution with additions: squeeze-and-excitation, a residual connection.

Hu et al.: Squeeze-and-Excitation Networks (2018), https://arxiv.org/abs/1709.01507; He et al.:
Deep Residual Learning (2016), https://arxiv.org/abs/1512.03385.
"""

from __future__ import annotations

from ...lazy_imports import nn, torch
from ..graph.sites import ConvSpec
from ..technique import TechniqueInfo
from .families import FAMILIES, ConvFamily, convolution, copy_bias
from .parts import shaped


class Plain(ConvFamily):
    """The same convolution with the same weights; only additions change it."""

    info = TechniqueInfo(
        name="conv",
        title="the original conv, for additions",
        replaces="3x3 and larger convs",
        saves="nothing",
    )
    by_default = False

    def refuses(self, spec: ConvSpec) -> str:
        if self.is_gated or ("residual" in self.added and spec.keeps_shape):
            return ""
        return "it changes the shape" if self.added else "it needs an addition"

    def build(self, spec: ConvSpec) -> nn.Module:
        return shaped(spec.geometry, spec.in_channels, spec.out_channels, bias=spec.bias)

    def inherit(self, block: nn.Module, original: nn.Conv2d) -> None:
        """Copy the weights."""
        conv = convolution(block)
        with torch.no_grad():
            conv.weight.copy_(original.weight)
        copy_bias(conv, original)


FAMILIES.register(Plain())
