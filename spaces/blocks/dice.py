"""DiCE unit: depthwise along channels, height and width, then mixed and gated.

Mehta et al.: DiCENet (2020), https://arxiv.org/abs/1906.03516. Its convolutions along height and
width have one filter per row and column, so that a network with one is made for one image size.
The padding of its 1x1 convolution and the 3x3 of its projection, which crops what that padded, are
those of the paper that this project starts from.
"""

from collections import OrderedDict
from math import gcd

import torch
from torch import nn

from ..sites import BlockSpec, ConvSpec
from ..technique import Technique
from .family import FAMILIES, ConvFamily, ResidualFamily
from .parts import ChannelShuffle, Residual, SqueezeExcite, depthwise, normalised, pointwise

_PAPER = "DiCENet, Mehta et al. 2020"
_LINK = "https://arxiv.org/abs/1906.03516"


class SideConv(nn.Conv2d):
    """A 3x3 convolution with one filter per row or column, for which channels are pixels.

    Args:
        side: rows or columns of the image.
        image: the size of what it takes for an image, [height, width].
    """

    def __init__(self, side: int, image: tuple[int, int]) -> None:
        super().__init__(side, side, 3, padding=1, groups=side, bias=False)
        self.image = image


class DiceUnit(nn.Module):
    """Dimension-wise convolution and dimension-wise fusion.

    Args:
        in_channels, out_channels: how many come in and go out.
        size: of its images, [height, width] in pixels; no other will do.

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
    """Half of the channels by a strided depthwise convolution, half by a DiCE unit behind pooling.

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


def dice(
    in_channels: int, out_channels: int, size: tuple[int, int], stride: tuple[int, int]
) -> nn.Module:
    """A DiCE unit, strided or not."""
    unit = DiceUnit if stride == (1, 1) else StridedDiceUnit
    return unit(in_channels, out_channels, size)


def why_no_dice(out_channels: int, stride: tuple[int, int]) -> str:
    """Why there is no such unit; empty if there is."""
    if stride not in ((1, 1), (2, 2)):
        return f"its stride is {stride[0]}x{stride[1]}; a DiCE unit's is 1 or 2"
    if stride == (2, 2) and out_channels % 2:
        return "a strided DiCE unit makes an even number of channels"
    return ""


class Dice(ConvFamily):
    """A DiCE unit in place of a convolution and the batch norm behind it."""

    technique = Technique(
        name="dice",
        title="DiCE unit",
        replaces="3x3 convs",
        saves="6-16x of params, 5-30x of FLOPs",
        paper=_PAPER,
        link=_LINK,
    )
    cuttable = False
    by_default = False  # it runs slowly, and on images of one size alone
    normalises = True

    def refuses(self, spec: ConvSpec) -> str:
        shape = spec.geometry
        if (shape.kernel, shape.padding, shape.dilation) != ((3, 3), (1, 1), (1, 1)):
            return f"it is {shape.text} with padding {shape.padding[0]}; a DiCE unit is 3x3 with 1"
        return why_no_dice(spec.out_channels, shape.stride)

    def build(self, spec: ConvSpec) -> nn.Module:
        shape = spec.geometry
        return dice(spec.in_channels, spec.out_channels, shape.input_size, shape.stride)


class DiceBottleneck(ResidualFamily):
    """1x1 to the hidden width, then a DiCE unit, around a shortcut."""

    technique = Technique(
        name="dice-bottleneck",
        title="1x1 and DiCE unit",
        replaces="residual blocks",
        saves="3-9x of params and FLOPs",
        paper=_PAPER,
        link=_LINK,
    )
    cuttable = False
    by_default = False  # it runs slowly, and on images of one size alone

    def refuses(self, spec: BlockSpec) -> str:
        return why_no_dice(spec.out_channels, spec.stride)

    def build(self, spec: BlockSpec) -> nn.Module:
        unit = dice(spec.hidden, spec.out_channels, spec.input_size, spec.stride)
        first = normalised(pointwise(spec.in_channels, spec.hidden), nn.ReLU)
        branch = OrderedDict[str, nn.Module](reduce=first, dice=unit)
        if self.is_gated:
            branch["se"] = SqueezeExcite(spec.out_channels)
        return Residual(spec, nn.Sequential(branch))


FAMILIES.register(Dice())
FAMILIES.register(DiceBottleneck())
