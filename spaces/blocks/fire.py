"""Fire module: a 1x1 convolution that squeezes, then parallel 1x1 and 3x3 convolutions that expand.

Iandola et al.: SqueezeNet (2016), https://arxiv.org/abs/1602.07360. Deviations, as in the paper on
which Paredown is based: instead of a convolution it squeezes to an eighth of the output channels
and has batch norm, and its three convolutions can be compressed by additions; instead of a residual
block it squeezes to the hidden width and has no batch norm.
"""

from __future__ import annotations

from collections import OrderedDict
from math import gcd
from typing import TypeAlias

from ...lazy_imports import nn
from ..graph.sites import BlockSpec, ConvSpec
from ..technique import TechniqueInfo
from .dice import dice, why_no_dice
from .families import FAMILIES, ConvFamily, ResidualFamily
from .ghost import ghost_pointwise
from .parts import (
    four_groups,
    normalised,
    pointwise,
    shuffled,
    writable_relu,
)

_PAPER = "SqueezeNet, Iandola et al. 2016"
_LINK = "https://arxiv.org/abs/1602.07360"
_WIDE = 32
"""Input channels from which on a 1x1 convolution is grouped."""

_Parts: TypeAlias = "tuple[nn.Module, nn.Module, nn.Module]"


class Fire(ConvFamily):
    """A Fire module that replaces a convolution and its batch norm."""

    info = TechniqueInfo(
        name="fire",
        title="Fire module",
        replaces="3x3 convs",
        saves="10-12x of params and FLOPs",
        paper=_PAPER,
        link=_LINK,
    )
    additions = ("depthwise", "ghost", "dice", "shuffle", "published", "se", "residual")
    normalises = True

    @property
    def cuttable(self) -> bool:  # type: ignore[override]
        return not {"depthwise", "dice", "shuffle"} & set(self.added)

    def clash(self) -> str:
        inside = [name for name in ("depthwise", "ghost", "dice") if name in self.added]
        if len(inside) > 1:
            return f"{', '.join(inside)} are mutually exclusive"
        if "shuffle" in self.added and {"depthwise", "dice"} & set(self.added):
            return f"{inside[0]} and shuffle are mutually exclusive"
        if "published" in self.added and inside:
            return f"published needs a plain or shuffled Fire module, not one with {inside[0]}"
        return ""

    def refuses(self, spec: ConvSpec) -> str:
        shape, out = spec.geometry, spec.out_channels
        if (shape.kernel, shape.padding, shape.dilation) != ((3, 3), (1, 1), (1, 1)):
            return (
                f"it is {shape.text} with padding {shape.padding[0]}; "
                "a Fire module needs 3x3 with padding 1"
            )
        if shape.stride != (1, 1) and "dice" in self.added:
            return why_no_dice(out // 2, shape.stride)
        if out % 16:
            return f"it has {out} output channels; a Fire module needs a multiple of 16"
        return ""

    def build(self, spec: ConvSpec) -> nn.Module:
        from .channel_shuffle import ChannelShuffle
        from .fire_module import FireModule

        squeezed, half = spec.out_channels // 8, spec.out_channels // 2
        makers = {
            "depthwise": self._depthwise,
            "ghost": self._ghost,
            "dice": self._dice,
            "shuffle": self._shuffle,
        }
        make = next((makers[name] for name in self.added if name in makers), self._plain)
        parts = make(spec, squeezed, half)
        shuffles = "shuffle" in self.added and "ghost" not in self.added
        ending = OrderedDict[str, nn.Module](shuffle=ChannelShuffle(4)) if shuffles else {}
        return FireModule(*parts, nn.Sequential(OrderedDict(**ending, act=writable_relu())))

    def _plain(self, spec: ConvSpec, squeezed: int, half: int) -> _Parts:
        stride = spec.geometry.stride
        squeeze = nn.Conv2d(spec.in_channels, squeezed, 1)
        return (
            self._unread(squeeze) or normalised(squeeze, nn.ReLU),
            normalised(nn.Conv2d(squeezed, half, 1, stride)),
            normalised(nn.Conv2d(squeezed, half, 3, stride, padding=1)),
        )

    def _unread(self, conv: nn.Conv2d) -> nn.Module | None:
        """Return the convolution with an unused batch norm, if "published" is added."""
        if "published" not in self.added:
            return None
        from .fire_module import Unread

        return Unread(conv)

    def _depthwise(self, spec: ConvSpec, squeezed: int, half: int) -> _Parts:
        squeeze, expand, _ = self._plain(spec, squeezed, half)
        return squeeze, expand, normalised(_multiplied(squeezed, half, spec.geometry.stride))

    def _shuffle(self, spec: ConvSpec, squeezed: int, half: int) -> _Parts:
        into, stride = spec.in_channels, spec.geometry.stride
        squeeze = pointwise(into, squeezed, four_groups(into, squeezed, _WIDE))
        expand = pointwise(squeezed, half, four_groups(squeezed, half, _WIDE), stride)
        spatial = _multiplied(squeezed, half, stride)
        return (
            shuffled(squeeze, nn.ReLU),
            normalised(expand),
            self._unread(spatial) or normalised(spatial),
        )

    def _ghost(self, spec: ConvSpec, squeezed: int, half: int) -> _Parts:
        stride = spec.geometry.stride
        groups = four_groups(squeezed, half // 2, _WIDE) if "shuffle" in self.added else 1
        squeeze = OrderedDict[str, nn.Module](
            ghost=ghost_pointwise(spec.in_channels, squeezed),
            bn=nn.BatchNorm2d(squeezed),
            act=nn.ReLU6(),
        )
        spatial = OrderedDict[str, nn.Module](
            ghost=ghost_pointwise(squeezed, half, groups, stride), bn=nn.BatchNorm2d(half)
        )
        expand = normalised(pointwise(squeezed, half, stride=stride))
        return nn.Sequential(squeeze), expand, nn.Sequential(spatial)

    def _dice(self, spec: ConvSpec, squeezed: int, half: int) -> _Parts:
        into, shape = spec.in_channels, spec.geometry
        squeeze = pointwise(into, squeezed, gcd(into, squeezed))
        return (
            shuffled(squeeze, nn.ReLU),
            normalised(pointwise(squeezed, half, stride=shape.stride)),
            dice(squeezed, half, shape.input_size, shape.stride),
        )


class FireBottleneck(ResidualFamily):
    """A Fire module with a shortcut, squeezed to the hidden width, without batch norm."""

    info = TechniqueInfo(
        name="fire-bottleneck",
        title="Fire module with a shortcut",
        replaces="residual blocks",
        saves="2.7x in basic blocks, costs in bottlenecks",
        paper=_PAPER,
        link=_LINK,
    )
    by_default = False

    def refuses(self, spec: BlockSpec) -> str:
        out = spec.out_channels
        return f"it has an odd number of output channels, {out}" if out % 2 else ""

    def build(self, spec: BlockSpec) -> nn.Module:
        from .block_layers import Residual, SqueezeExcite
        from .fire_module import FireModule

        half, stride = spec.out_channels // 2, spec.stride
        squeeze = nn.Sequential(nn.Conv2d(spec.in_channels, spec.hidden, 1), nn.ReLU())
        expand = nn.Conv2d(spec.hidden, half, 1, stride)
        spatial = nn.Conv2d(spec.hidden, half, 3, stride, padding=1)
        ending = OrderedDict[str, nn.Module](act=writable_relu())
        if self.is_gated:
            ending["se"] = SqueezeExcite(spec.out_channels)
        fire = FireModule(squeeze, expand, spatial, nn.Sequential(ending))
        return Residual(spec, fire, shortcut_bias=True)


def _multiplied(in_channels: int, out_channels: int, stride: tuple[int, int]) -> nn.Conv2d:
    """Build a 3x3 convolution with several filters per input channel."""
    return nn.Conv2d(
        in_channels, out_channels, 3, stride, padding=1, groups=in_channels, bias=False
    )


FAMILIES.register(Fire())
FAMILIES.register(FireBottleneck())
