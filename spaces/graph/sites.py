"""Where block families can act: convolutions that mix pixels and channels, and residual blocks."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from .blueprint import Blueprint, Channels, Geometry, Layer, Op, Skipped
from .frozen import FROZEN_BY_KEEP
from .structure import ResidualBlock, Shortcut


@dataclass(frozen=True)
class ConvSpec:
    """Everything that a replacement for a convolution must keep to.

    Attributes:
        in_channels, out_channels: the interface that stays.
        geometry: kernel, stride, padding, dilation and the size of its input image, in pixels.
        bias: whether the replacement needs a bias; not where batch norm follows.
        normalised: whether batch norm follows that reads nothing else.
        mixed: whether a 1x1 convolution follows that mixes the channels.
    """

    in_channels: int
    out_channels: int
    geometry: Geometry
    bias: bool
    normalised: bool = False
    mixed: bool = False

    @property
    def keeps_shape(self) -> bool:
        """Whether what comes out has the shape of what goes in."""
        height, width = self.geometry.input_size
        same = self.geometry.stride == (1, 1) and self.geometry.output_pixels == height * width
        return same and self.in_channels == self.out_channels


@dataclass(frozen=True)
class BlockSpec:
    """Everything that a replacement for a residual block must keep to.

    Attributes:
        in_channels, out_channels: the interface that stays.
        hidden: the width of its spatial convolution.
        stride: [height, width]; the output has 1 + (side - 1) // stride pixels a side.
        input_size: of its images, in pixels.
        shortcut: what its sum adds; the identity only where the shape stays.
    """

    in_channels: int
    out_channels: int
    hidden: int
    stride: tuple[int, int]
    input_size: tuple[int, int]
    shortcut: Shortcut


@dataclass(frozen=True)
class ConvSite:
    """A convolution that a block can stand in for.

    Attributes:
        name: of the module.
        stage: whose choices decide.
        layer: the convolution.
        norm: the batch norm that alone reads it; empty if there is none.
        mixed: as in its spec.
    """

    name: str
    stage: str
    layer: Layer
    norm: str
    mixed: bool

    @property
    def reads(self) -> Channels:
        return self.layer.reads

    @property
    def writes(self) -> Channels:
        return self.layer.writes

    def spec(self, sizes: Mapping[str, int]) -> ConvSpec:
        """What a replacement must keep to when the channel groups have these sizes."""
        if self.layer.geometry is None:
            raise ValueError(f"{self.name} has no geometry: it is no convolution")
        return ConvSpec(
            in_channels=self.reads.count(sizes),
            out_channels=self.writes.count(sizes),
            geometry=self.layer.geometry,
            bias=self.layer.bias and not self.norm,
            normalised=bool(self.norm),
            mixed=self.mixed,
        )


@dataclass(frozen=True)
class BlockSite:
    """A residual block that another can stand in for; the attributes are those of its spec."""

    name: str
    stage: str
    reads: Channels
    writes: Channels
    hidden: Channels
    stride: tuple[int, int]
    input_size: tuple[int, int]
    shortcut: Shortcut

    @property
    def output_size(self) -> tuple[int, int]:
        """Of its images, in pixels."""
        (height, width), (down, across) = self.input_size, self.stride
        return 1 + (height - 1) // down, 1 + (width - 1) // across

    def spec(self, sizes: Mapping[str, int]) -> BlockSpec:
        """What a replacement must keep to when the channel groups have these sizes."""
        into, out = self.reads.count(sizes), self.writes.count(sizes)
        shortcut = self.shortcut
        if shortcut is Shortcut.IDENTITY and (into != out or self.stride != (1, 1)):
            shortcut = Shortcut.PROJECTION
        hidden = self.hidden.count(sizes)
        return BlockSpec(into, out, hidden, self.stride, self.input_size, shortcut)


Spec = ConvSpec | BlockSpec
Site = ConvSite | BlockSite


def find_sites(blueprint: Blueprint) -> tuple[ConvSite, ...]:
    """The convolutions with a kernel of 3 or more and one group that the network runs."""
    readers = _next_readers(blueprint)
    return tuple(
        ConvSite(
            name=layer.name,
            stage=layer.stage,
            layer=layer,
            norm=blueprint.structure.normalised.get(layer.name, ""),
            mixed=layer.name in readers and _mixes(readers[layer.name]),
        )
        for layer in blueprint.layers
        if layer.op is Op.CONV and not _why_not(layer)
    )


def find_blocks(blueprint: Blueprint) -> tuple[BlockSite, ...]:
    """The residual blocks of a network, in running order."""
    return tuple(
        _site_of(blueprint, block)
        for block in blueprint.structure.blocks
        if not _why_not_block(blueprint, block)
    )


def refused_convolutions(blueprint: Blueprint) -> tuple[Skipped, ...]:
    """The convolutions that are no sites, with the reason."""
    return tuple(
        Skipped("block", layer.name, reason)
        for layer in blueprint.layers
        if layer.op is Op.CONV and (reason := _why_not(layer))
    )


def refused_blocks(blueprint: Blueprint) -> tuple[Skipped, ...]:
    """The residual blocks that are no sites, with the reason."""
    return tuple(
        Skipped("block", block.name, reason)
        for block in blueprint.structure.blocks
        if (reason := _why_not_block(blueprint, block))
    )


def _site_of(blueprint: Blueprint, block: ResidualBlock) -> BlockSite:
    exit_, middle = blueprint.layer(block.exit), blueprint.layer(block.middle)
    return BlockSite(
        name=block.name,
        stage=(exit_ if exit_.op is Op.CONV else middle).stage,  # linear layers have no resolution
        reads=blueprint.layer(block.entry).reads,
        writes=exit_.writes,
        hidden=middle.writes,
        stride=block.stride,
        input_size=block.input_size,
        shortcut=block.shortcut,
    )


def _why_not(layer: Layer) -> str:
    geometry = layer.geometry
    if layer.is_frozen:
        return FROZEN_BY_KEEP
    if geometry is None or not layer.positions:
        return "it never runs"
    if min(geometry.kernel) < 3:
        return f"its kernel is {geometry.text}; blocks replace 3x3 and larger"
    if layer.split == 0:
        return "it is depthwise already"
    if layer.split > 1:
        return f"its channels fall into {layer.split} groups"
    if geometry.input_size == (0, 0):
        return "its input is no image"
    if geometry.padding_mode != "zeros":
        return f"it pads with {geometry.padding_mode} pixels; blocks pad with zeros"
    if layer.positions != geometry.output_pixels:
        return "it runs more than once for an image, or pads its two sides differently"
    return ""


def _why_not_block(blueprint: Blueprint, block: ResidualBlock) -> str:
    site = _site_of(blueprint, block)
    if any(blueprint.layer(name).is_frozen for name in blueprint.under(block.name)):
        return FROZEN_BY_KEEP
    if site.output_size != block.output_size:
        return f"its images shrink from {block.input_size} to {block.output_size} pixels"
    return ""


def _next_readers(blueprint: Blueprint) -> dict[str, Layer]:
    """For each convolution the next layer that computes, if it reads just what that wrote."""
    computing = [layer for layer in blueprint.layers if layer.op in (Op.CONV, Op.LINEAR)]
    return {
        layer.name: behind for layer, behind in pairwise(computing) if behind.reads == layer.writes
    }


def _mixes(layer: Layer) -> bool:
    return (
        layer.op is Op.CONV
        and layer.split == 1
        and layer.geometry is not None
        and (layer.geometry.kernel == (1, 1))
    )
