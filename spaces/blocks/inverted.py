"""Inverted bottleneck: narrow, wide, narrow, without an activation after the last convolution.

Sandler et al.: MobileNetV2 (2018), https://arxiv.org/abs/1801.04381; hard-swish and
squeeze-and-excitation as in Howard et al.: Searching for MobileNetV3 (2019),
https://arxiv.org/abs/1905.02244. The technique `trunk` chooses the narrow width. Deviation: the
block has a projection shortcut where the original block has one.
"""

from __future__ import annotations

from collections import OrderedDict

from ...lazy_imports import nn
from ..graph.sites import BlockSpec
from ..technique import TechniqueInfo
from .families import FAMILIES, ResidualFamily
from .parts import depthwise, normalised, pointwise


class Inverted(ResidualFamily):
    """1x1 to the hidden width, 3x3 depthwise, 1x1 back, with a shortcut."""

    info = TechniqueInfo(
        name="inverted",
        title="inverted bottleneck",
        replaces="residual blocks",
        saves="2-8x of params and FLOPs",
        paper="MobileNetV2, Sandler et al. 2018",
        link="https://arxiv.org/abs/1801.04381",
    )
    additions = ("hswish", "se", "narrow", "early")

    def build(self, spec: BlockSpec) -> nn.Module:
        from .block_layers import Residual, SqueezeExcite

        activation = nn.Hardswish if "hswish" in self.added else nn.ReLU6
        branch = OrderedDict[str, nn.Module](
            expand=normalised(pointwise(spec.in_channels, spec.hidden), activation),
            depthwise=normalised(depthwise(spec.hidden, spec.stride), activation),
        )
        if self.is_gated:
            branch["se"] = SqueezeExcite(spec.hidden)
        branch["project"] = normalised(pointwise(spec.hidden, spec.out_channels))
        return Residual(spec, nn.Sequential(branch))


FAMILIES.register(Inverted())
