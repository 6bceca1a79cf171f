"""Grouped 1x1 convolutions with a channel shuffle that mixes the groups.

Zhang et al.: ShuffleNet (2018), https://arxiv.org/abs/1707.01083. Deviation: strided blocks have a
projection shortcut, where ShuffleNet pools and concatenates.
"""

from __future__ import annotations

from collections import OrderedDict

from ...lazy_imports import nn
from ..graph.sites import BlockSpec, ConvSpec
from ..technique import TechniqueInfo
from .families import FAMILIES, ConvFamily, ResidualFamily
from .parts import (
    depthwise,
    four_groups,
    normalised,
    pointwise,
    shaped,
    shuffled,
    writable_relu,
)

_PAPER = "ShuffleNet, Zhang et al. 2018"
_LINK = "https://arxiv.org/abs/1707.01083"


class Shuffle(ConvFamily):
    """k x k depthwise, then 1x1 in 4 groups, with channel shuffle."""

    info = TechniqueInfo(
        name="shuffle",
        title="depthwise and grouped 1x1 conv, with channel shuffle",
        replaces="3x3 and larger convs",
        saves="20-30x of params and FLOPs",
        paper=_PAPER,
        link=_LINK,
    )
    cuttable = False

    def refuses(self, spec: ConvSpec) -> str:
        if four_groups(spec.in_channels, spec.out_channels) == 4:
            return ""
        return f"4 does not divide {spec.in_channels} input and {spec.out_channels} output channels"

    def build(self, spec: ConvSpec) -> nn.Module:
        into = spec.in_channels
        spatial = shaped(spec.geometry, into, into, groups=into)
        mixing = nn.Conv2d(into, spec.out_channels, 1, groups=4, bias=spec.bias)
        return nn.Sequential(OrderedDict(depthwise=spatial, pointwise=shuffled(mixing, norm=False)))


class ShuffleBottleneck(ResidualFamily):
    """Grouped 1x1 with shuffle, 3x3 depthwise, grouped 1x1 with shuffle, with a shortcut."""

    info = TechniqueInfo(
        name="shuffle-bottleneck",
        title="ShuffleNet unit",
        replaces="residual blocks",
        saves="6-22x of params and FLOPs",
        paper=_PAPER,
        link=_LINK,
    )
    cuttable = False

    def refuses(self, spec: BlockSpec) -> str:
        for number in (spec.in_channels, spec.hidden, spec.out_channels):
            if number % 4:
                return f"4 does not divide {number} channels"
        return ""

    def build(self, spec: BlockSpec) -> nn.Module:
        from .block_layers import Residual, SqueezeExcite

        first = pointwise(spec.in_channels, spec.hidden, groups=4)
        last = pointwise(spec.hidden, spec.out_channels, groups=4)
        branch = OrderedDict[str, nn.Module](
            reduce=shuffled(first, nn.ReLU),
            depthwise=normalised(depthwise(spec.hidden, spec.stride)),
        )
        if self.is_gated:
            branch["se"] = SqueezeExcite(spec.hidden)
        branch["expand"] = shuffled(last)
        return Residual(spec, nn.Sequential(branch), writable_relu)


FAMILIES.register(Shuffle())
FAMILIES.register(ShuffleBottleneck())
