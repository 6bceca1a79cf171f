"""Layers and sequences from which several block families are built."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeAlias

from ...lazy_imports import nn
from ..graph.blueprint import Geometry

Activation: TypeAlias = "Callable[[], nn.Module]"


def shaped(
    like: Geometry, in_channels: int, out_channels: int, *, groups: int = 1, bias: bool = False
) -> nn.Conv2d:
    """Build a convolution with the geometry of another: kernel, stride, padding, dilation."""
    return nn.Conv2d(
        in_channels,
        out_channels,
        like.kernel,
        like.stride,
        like.padding,
        like.dilation,
        groups=groups,
        bias=bias,
    )


def pointwise(
    in_channels: int, out_channels: int, groups: int = 1, stride: tuple[int, int] = (1, 1)
) -> nn.Conv2d:
    """Build a 1x1 convolution without bias."""
    return nn.Conv2d(in_channels, out_channels, 1, stride, groups=groups, bias=False)


def depthwise(channels: int, stride: tuple[int, int] = (1, 1)) -> nn.Conv2d:
    """Build a 3x3 depthwise convolution without bias."""
    return nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False)


def writable_relu() -> nn.Module:
    """Build a ReLU for the end of a block, whose output may be modified in place.

    NOTE: `nn.ReLU` computes its gradient from its output, which a following
    `nn.ReLU(inplace=True)` would overwrite; `nn.Threshold` computes it from its input.
    """
    return nn.Threshold(0.0, 0.0)


def normalised(conv: nn.Conv2d, activation: Activation | None = None) -> nn.Sequential:
    """Build a convolution, batch norm, and an optional activation."""
    parts = OrderedDict[str, nn.Module](conv=conv, bn=nn.BatchNorm2d(conv.out_channels))
    if activation is not None:
        parts["act"] = activation()
    return nn.Sequential(parts)


def four_groups(in_channels: int, out_channels: int, least: int = 1) -> int:
    """Return 4 if that divides both and there are at least `least` input channels, else 1."""
    divides = in_channels % 4 == 0 == out_channels % 4
    return 4 if divides and in_channels >= least else 1


def shuffled(
    conv: nn.Conv2d, activation: Activation | None = None, *, norm: bool = True
) -> nn.Sequential:
    """Build a convolution, optional batch norm and activation, and a shuffle of its groups."""
    parts = OrderedDict[str, nn.Module](conv=conv)
    if norm:
        parts["bn"] = nn.BatchNorm2d(conv.out_channels)
    if activation is not None:
        parts["act"] = activation()
    if conv.groups > 1:
        from .channel_shuffle import ChannelShuffle

        parts["shuffle"] = ChannelShuffle(conv.groups)
    return nn.Sequential(parts)
