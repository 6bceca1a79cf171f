"""Modules of DiCENet (see `blocks/dice.py`): dimension-wise convolution and fusion."""

from collections import OrderedDict
from math import gcd

import torch
from torch import nn

from .channel_shuffle import ChannelShuffle
from .parts import depthwise, normalised, pointwise


class SideConv(nn.Conv2d):
    """A 3x3 depthwise convolution over rows or columns: channels act as one side of the image.

    Args:
        side: the number of rows or columns, which act as channels.
        image: [height, width] of the transposed input.
    """

    def __init__(self, side: int, image: tuple[int, int]) -> None:
        super().__init__(side, side, 3, padding=1, groups=side, bias=False)
        self.image = image


class DiceUnit(nn.Module):
    """Dimension-wise convolution and dimension-wise fusion.

    Args:
        in_channels, out_channels: channel counts.
        size: [height, width] of the input in pixels, which is fixed.

    Shapes: [batch, in, height, width] -> [batch, out, height, width].
    """

    def __init__(self, in_channels: int, out_channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        height, width = size
        self.channel = depthwise(in_channels)
        self.height = SideConv(height, (in_channels, width))
        self.width = SideConv(width, (height, in_channels))
        self.bn = nn.BatchNorm2d(3 * in_channels)
        self.act = nn.ReLU()
        self.shuffle = ChannelShuffle(3)
        blend = nn.Conv2d(
            3 * in_channels, in_channels, 1, padding=1, groups=in_channels, bias=False
        )
        self.blend = normalised(blend, nn.ReLU)
        squeezed = max(1, in_channels // 4)
        self.gate = nn.Sequential(
            OrderedDict(
                pool=nn.AdaptiveAvgPool2d(1),
                squeeze=pointwise(in_channels, squeezed),
                act=nn.ReLU(),
                expand=pointwise(squeezed, out_channels),
                gate=nn.Sigmoid(),
            )
        )
        groups = gcd(in_channels, out_channels)
        project = nn.Conv2d(in_channels, out_channels, 3, groups=groups, bias=False)
        self.project = normalised(project, nn.ReLU)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        by_height = self.height(x.transpose(1, 2)).transpose(1, 2)
        by_width = self.width(x.transpose(1, 3)).transpose(1, 3)
        along = torch.cat([self.channel(x), by_height, by_width], 1)
        blended = self.blend(self.shuffle(self.act(self.bn(along))))
        out: torch.Tensor = self.project(blended) * self.gate(blended)
        return out


class StridedDiceUnit(nn.Module):
    """Half of the channels from a strided depthwise convolution, half from pooling and a DiCE unit.

    Shapes: [batch, in, height, width] -> [batch, out, height/2, width/2].
    """

    def __init__(self, in_channels: int, out_channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        half, smaller = out_channels // 2, ((size[0] + 1) // 2, (size[1] + 1) // 2)
        self.left = nn.Sequential(
            normalised(depthwise(in_channels, (2, 2)), nn.ReLU),
            normalised(pointwise(in_channels, half), nn.ReLU),
        )
        self.right = nn.Sequential(
            nn.AvgPool2d(3, stride=2, padding=1), DiceUnit(in_channels, half, smaller)
        )
        self.shuffle = ChannelShuffle(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.shuffle(torch.cat([self.left(x), self.right(x)], 1))
        return out
