"""Depthwise convolution, where a 1x1 convolution follows that mixes the channels.

Howard et al.: MobileNets (2017), https://arxiv.org/abs/1704.04861. Inside a bottleneck, the next
1x1 convolution serves as the pointwise half of a separable convolution.
"""

from __future__ import annotations

from ...lazy_imports import nn, torch
from ..graph.sites import ConvSpec
from ..technique import TechniqueInfo
from .families import FAMILIES, ConvFamily, convolution, copy_bias
from .parts import shaped


class Depthwise(ConvFamily):
    """k x k depthwise: k*k*in parameters instead of k*k*in*in."""

    info = TechniqueInfo(
        name="depthwise",
        title="depthwise conv",
        replaces="3x3 and larger convs before a 1x1",
        saves="100x and more of params and FLOPs",
        paper="MobileNets, Howard et al. 2017",
        link="https://arxiv.org/abs/1704.04861",
    )

    def refuses(self, spec: ConvSpec) -> str:
        if spec.in_channels != spec.out_channels:
            return f"it has {spec.in_channels} input but {spec.out_channels} output channels"
        return "" if spec.mixed else "no 1x1 convolution follows that mixes the channels"

    def build(self, spec: ConvSpec) -> nn.Module:
        channels = spec.in_channels
        return shaped(spec.geometry, channels, channels, groups=channels, bias=spec.bias)

    def inherit(self, block: nn.Module, original: nn.Conv2d) -> None:
        """Copy the diagonal: the filter from each channel to itself."""
        conv = convolution(block)
        with torch.no_grad():
            own = torch.arange(conv.out_channels, device=original.weight.device)
            conv.weight.copy_(original.weight[own, own].unsqueeze(1))
        copy_bias(conv, original)


FAMILIES.register(Depthwise())
