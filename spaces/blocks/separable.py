"""Depthwise separable convolution: a depthwise convolution, then a 1x1 convolution.

Chollet: Xception (2017), https://arxiv.org/abs/1610.02357. As in Xception, there is no batch norm
or activation between the two, unlike in Howard et al.: MobileNets (2017),
https://arxiv.org/abs/1704.04861.
"""

from __future__ import annotations

from collections import OrderedDict

from ...lazy_imports import nn, torch
from ..graph.sites import ConvSpec
from ..technique import TechniqueInfo
from .families import FAMILIES, ConvFamily, convolution, copy_bias
from .parts import shaped


class Separable(ConvFamily):
    """k x k depthwise, then 1x1: k*k*in + in*out parameters instead of k*k*in*out."""

    info = TechniqueInfo(
        name="separable",
        title="depthwise separable conv",
        replaces="3x3 and larger convs",
        saves="8-9x of params and FLOPs",
        paper="Xception, Chollet 2017",
        link="https://arxiv.org/abs/1610.02357",
    )

    def build(self, spec: ConvSpec) -> nn.Module:
        into = spec.in_channels
        depthwise = shaped(spec.geometry, into, into, groups=into)
        pointwise = nn.Conv2d(into, spec.out_channels, 1, bias=spec.bias)
        return nn.Sequential(OrderedDict(depthwise=depthwise, pointwise=pointwise))

    def inherit(self, block: nn.Module, original: nn.Conv2d) -> None:
        """Approximate the filters of each input channel by one filter, by rank-1 SVD."""
        depthwise, pointwise = convolution(block, "depthwise"), convolution(block, "pointwise")
        weight = original.weight.detach().float()  # [out, in, h, w]
        u, s, v = torch.linalg.svd(weight.flatten(2).transpose(0, 1), full_matrices=False)
        root = s[:, 0].sqrt()  # equal scales of both factors help the optimizer
        with torch.no_grad():
            depthwise.weight.copy_((v[:, 0] * root[:, None]).view_as(depthwise.weight))
            pointwise.weight.copy_((u[:, :, 0] * root[:, None]).t().reshape(pointwise.weight.shape))
        copy_bias(pointwise, original)


FAMILIES.register(Separable())
