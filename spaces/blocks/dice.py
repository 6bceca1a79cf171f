"""DiCE unit: depthwise convolutions along channels, height and width, then fusion with a gate.

Mehta et al.: DiCENet (2020), https://arxiv.org/abs/1906.03516. The convolutions along height and
width have one filter per row or column, so a network with a DiCE unit requires a fixed image size.
Deviations, as in the paper on which Paredown is based: the 1x1 convolution pads its input by one
pixel, and the projection is a 3x3 convolution without padding, which removes that border again.
"""

from __future__ import annotations

from collections import OrderedDict

from ...lazy_imports import nn
from ..graph.sites import BlockSpec, ConvSpec
from ..technique import TechniqueInfo
from .families import FAMILIES, ConvFamily, ResidualFamily
from .parts import normalised, pointwise

_PAPER = "DiCENet, Mehta et al. 2020"
_LINK = "https://arxiv.org/abs/1906.03516"


def dice(
    in_channels: int, out_channels: int, size: tuple[int, int], stride: tuple[int, int]
) -> nn.Module:
    """Build a DiCE unit, strided or not."""
    from .dice_unit import DiceUnit, StridedDiceUnit

    unit = DiceUnit if stride == (1, 1) else StridedDiceUnit
    return unit(in_channels, out_channels, size)


def why_no_dice(out_channels: int, stride: tuple[int, int]) -> str:
    """Return why a DiCE unit cannot have this interface; empty if it can."""
    if stride not in ((1, 1), (2, 2)):
        return f"its stride is {stride[0]}x{stride[1]}; a DiCE unit needs 1 or 2"
    if stride == (2, 2) and out_channels % 2:
        return "a strided DiCE unit needs an even number of output channels"
    return ""


class Dice(ConvFamily):
    """A DiCE unit that replaces a convolution and its batch norm."""

    info = TechniqueInfo(
        name="dice",
        title="DiCE unit",
        replaces="3x3 convs",
        saves="6-16x of params, 5-30x of FLOPs",
        paper=_PAPER,
        link=_LINK,
    )
    cuttable = False
    by_default = False  # slow, and fixed to one image size
    normalises = True

    def refuses(self, spec: ConvSpec) -> str:
        shape = spec.geometry
        if (shape.kernel, shape.padding, shape.dilation) != ((3, 3), (1, 1), (1, 1)):
            return (
                f"it is {shape.text} with padding {shape.padding[0]}; "
                "a DiCE unit needs 3x3 with padding 1"
            )
        return why_no_dice(spec.out_channels, shape.stride)

    def build(self, spec: ConvSpec) -> nn.Module:
        shape = spec.geometry
        return dice(spec.in_channels, spec.out_channels, shape.input_size, shape.stride)


class DiceBottleneck(ResidualFamily):
    """A 1x1 convolution to the hidden width and a DiCE unit, with a shortcut."""

    info = TechniqueInfo(
        name="dice-bottleneck",
        title="1x1 conv and DiCE unit, with a shortcut",
        replaces="residual blocks",
        saves="3-9x of params and FLOPs",
        paper=_PAPER,
        link=_LINK,
    )
    cuttable = False
    by_default = False  # slow, and fixed to one image size

    def refuses(self, spec: BlockSpec) -> str:
        return why_no_dice(spec.out_channels, spec.stride)

    def build(self, spec: BlockSpec) -> nn.Module:
        from .block_layers import Residual, SqueezeExcite

        unit = dice(spec.hidden, spec.out_channels, spec.input_size, spec.stride)
        first = normalised(pointwise(spec.in_channels, spec.hidden), nn.ReLU)
        branch = OrderedDict[str, nn.Module](reduce=first, dice=unit)
        if self.is_gated:
            branch["se"] = SqueezeExcite(spec.out_channels)
        return Residual(spec, nn.Sequential(branch))


FAMILIES.register(Dice())
FAMILIES.register(DiceBottleneck())
