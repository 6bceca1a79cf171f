"""Ghost module: half of the channels from a convolution, the others from a cheap depthwise one.

Han et al.: GhostNet (2020), https://arxiv.org/abs/1911.11907. Deviations: one batch norm follows
the concatenated halves, instead of one per half; a block projects its shortcut by a 1x1
convolution where the original block did.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from ...lazy_imports import nn, torch
from ..graph.sites import BlockSpec, ConvSpec
from ..technique import TechniqueInfo
from .families import FAMILIES, ConvFamily, ResidualFamily, convolution, copy_bias
from .parts import (
    depthwise,
    four_groups,
    normalised,
    pointwise,
    shaped,
    shuffled,
)

if TYPE_CHECKING:
    from .ghost_module import GhostModule

_PAPER = "GhostNet, Han et al. 2020"
_LINK = "https://arxiv.org/abs/1911.11907"


def ghost_pointwise(
    in_channels: int, out_channels: int, groups: int = 1, stride: tuple[int, int] = (1, 1)
) -> GhostModule:
    """Build a ghost module whose primary convolution is 1x1, shuffled if it has groups."""
    from .ghost_module import GhostModule

    half = out_channels // 2
    primary = pointwise(in_channels, half, groups, stride)
    return GhostModule(shuffled(primary, norm=False) if groups > 1 else primary, half)


class Ghost(ConvFamily):
    """A ghost module that replaces a convolution, with the same kernel size."""

    info = TechniqueInfo(
        name="ghost",
        title="Ghost module",
        replaces="3x3 and larger convs",
        saves="2x of params and FLOPs",
        paper=_PAPER,
        link=_LINK,
    )

    def refuses(self, spec: ConvSpec) -> str:
        return "it has an odd number of output channels" if spec.out_channels % 2 else ""

    def build(self, spec: ConvSpec) -> nn.Module:
        from .ghost_module import GhostModule

        half = spec.out_channels // 2
        primary = shaped(spec.geometry, spec.in_channels, half, bias=spec.bias)
        return GhostModule(primary, half, bias=spec.bias)

    def inherit(self, block: nn.Module, original: nn.Conv2d) -> None:
        """Copy the first half of the filters."""
        primary = convolution(block, "primary")
        with torch.no_grad():
            primary.weight.copy_(original.weight[: primary.out_channels])
        copy_bias(primary, original)


class GhostBottleneck(ResidualFamily):
    """Two ghost modules with a shortcut, and a 3x3 depthwise convolution if the shape changes."""

    info = TechniqueInfo(
        name="ghost-bottleneck",
        title="Ghost bottleneck",
        replaces="residual blocks",
        saves="4-14x of params and FLOPs",
        paper=_PAPER,
        link=_LINK,
    )
    additions = ("shuffle", "se", "narrow", "early")

    @property
    def cuttable(self) -> bool:  # type: ignore[override]
        return "shuffle" not in self.added

    def refuses(self, spec: BlockSpec) -> str:
        if spec.hidden % 2 or spec.out_channels % 2:
            return f"{spec.hidden} hidden or {spec.out_channels} output channels is an odd number"
        if "shuffle" not in self.added:
            return ""
        ends = [(spec.in_channels, spec.hidden // 2), (spec.hidden, spec.out_channels // 2)]
        if any(four_groups(*end) == 1 for end in ends):
            return (
                f"4 does not divide {spec.in_channels} input and {spec.hidden} hidden channels "
                f"and half of {spec.hidden} and {spec.out_channels}"
            )
        return ""

    def build(self, spec: BlockSpec) -> nn.Module:
        from .block_layers import Residual, SqueezeExcite

        groups = 4 if "shuffle" in self.added else 1
        branch = OrderedDict[str, nn.Module](
            ghost1=ghost_pointwise(spec.in_channels, spec.hidden, groups),
            bn1=nn.BatchNorm2d(spec.hidden),
            act=nn.ReLU6(),
        )
        if spec.stride != (1, 1) or spec.in_channels != spec.out_channels:
            branch["depthwise"] = normalised(depthwise(spec.hidden, spec.stride))
        if self.is_gated:
            branch["se"] = SqueezeExcite(spec.hidden)
        branch["ghost2"] = ghost_pointwise(spec.hidden, spec.out_channels, groups)
        branch["bn2"] = nn.BatchNorm2d(spec.out_channels)
        return Residual(spec, nn.Sequential(branch))


FAMILIES.register(Ghost())
FAMILIES.register(GhostBottleneck())
