"""The convolution as it is, for what can be added to it: squeeze-and-excitation, a residual sum.

Hu et al.: Squeeze-and-Excitation Networks (2018), https://arxiv.org/abs/1709.01507; He et al.:
Deep Residual Learning (2016), https://arxiv.org/abs/1512.03385, for networks without either.
"""

import torch
from torch import nn

from ..sites import ConvSpec
from ..technique import Technique
from .family import FAMILIES, ConvFamily


class Plain(ConvFamily):
    """The same convolution with the same weights; only additions make a difference."""

    technique = Technique(
        name="conv",
        title="the conv itself, for additions",
        replaces="3x3 and larger convs",
        saves="nothing",
    )
    by_default = False

    def refuses(self, spec: ConvSpec) -> str:
        if "se" in self.added or ("residual" in self.added and spec.keeps_shape):
            return ""
        return "its shape changes" if self.added else "nothing is added"

    def build(self, spec: ConvSpec) -> nn.Module:
        shape = spec.geometry
        return nn.Conv2d(
            spec.in_channels,
            spec.out_channels,
            shape.kernel,
            shape.stride,
            shape.padding,
            shape.dilation,
            bias=spec.bias,
        )

    def inherit(self, block: nn.Module, original: nn.Conv2d) -> None:
        """Keep the weights."""
        if not isinstance(block, nn.Conv2d):
            raise TypeError(f"expected a convolution, got {type(block).__name__}")
        with torch.no_grad():
            block.weight.copy_(original.weight)
            if block.bias is not None and original.bias is not None:
                block.bias.copy_(original.bias)


FAMILIES.register(Plain())
