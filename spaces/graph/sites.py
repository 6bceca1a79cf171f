"""Sites: the convolutions and residual blocks that block families can replace."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from .blueprint import Blueprint, Channels, Geometry, Layer, Op, Skipped
from .frozen import FROZEN_BY_KEEP
from .structure import ResidualBlock, Shortcut


@dataclass(frozen=True)
class ConvSpec:
    """The interface that a replacement for a convolution must have.

    Attributes:
        in_channels, out_channels: channel counts.
        geometry: kernel, stride, padding, dilation and the size of the input image in pixels.
        bias: whether the replacement needs a bias; False if batch norm follows.
        normalised: whether a batch norm alone reads the output.
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
        """Whether output and input have the same shape."""
        height, width = self.geometry.input_size
        same = self.geometry.stride == (1, 1) and self.geometry.output_pixels == height * width
        return same and self.in_channels == self.out_channels


@dataclass(frozen=True)
class BlockSpec:
    """The interface that a replacement for a residual block must have.

    Attributes:
        in_channels, out_channels: channel counts.
        hidden: the output width of the spatial convolution.
        stride: [height, width]; the output has 1 + (side - 1) // stride pixels per side.
        input_size: [height, width] of the input in pixels.
        shortcut: the type of the shortcut; the identity only if the shape does not change.
    """

    in_channels: int
    out_channels: int
    hidden: int
    stride: tuple[int, int]
    input_size: tuple[int, int]
    shortcut: Shortcut


@dataclass(frozen=True)
class ConvSite:
    """A convolution that can be replaced.

    Attributes:
        name: the module name.
        stage: the stage whose choices apply.
        layer: the convolution.
        norm: the batch norm that alone reads the output; empty if there is none.
        mixed: as in `ConvSpec`.
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
        """Return the interface for given sizes of the channel groups."""
        if self.layer.geometry is None:
            raise ValueError(f"expected a convolution, but {self.name} has no geometry")
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
    """A residual block that can be replaced; attributes as in `BlockSpec`."""

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
        """[height, width] of the output in pixels."""
        (height, width), (down, across) = self.input_size, self.stride
        return 1 + (height - 1) // down, 1 + (width - 1) // across

    def spec(self, sizes: Mapping[str, int]) -> BlockSpec:
        """Return the interface for given sizes of the channel groups."""
        into, out = self.reads.count(sizes), self.writes.count(sizes)
        shortcut = self.shortcut
        if shortcut is Shortcut.IDENTITY and (into != out or self.stride != (1, 1)):
            shortcut = Shortcut.PROJECTION
        hidden = self.hidden.count(sizes)
        return BlockSpec(into, out, hidden, self.stride, self.input_size, shortcut)


Spec = ConvSpec | BlockSpec
Site = ConvSite | BlockSite


def find_sites(blueprint: Blueprint) -> tuple[ConvSite, ...]:
    """Return the convolutions that can be replaced, with kernels of 3x3 or larger and one group."""
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
    """Return the residual blocks that can be replaced, in running order."""
    return tuple(
        _site_of(blueprint, block)
        for block in blueprint.structure.blocks
        if not _why_not_block(blueprint, block)
    )


def refused_convolutions(blueprint: Blueprint) -> tuple[Skipped, ...]:
    """Return the convolutions that cannot be replaced, with reasons."""
    return tuple(
        Skipped("block", layer.name, reason)
        for layer in blueprint.layers
        if layer.op is Op.CONV and (reason := _why_not(layer))
    )


def refused_blocks(blueprint: Blueprint) -> tuple[Skipped, ...]:
    """Return the residual blocks that cannot be replaced, with reasons."""
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
        return "it is already depthwise"
    if layer.split > 1:
        return f"it has {layer.split} groups"
    if geometry.input_size == (0, 0):
        return "its input is not an image"
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
        return (
            f"its output has {block.output_size} pixels for {block.input_size} input pixels, which "
            "no stride gives"
        )
    return ""


def _next_readers(blueprint: Blueprint) -> dict[str, Layer]:
    """Map each convolution to the next one or linear layer, if that reads exactly its output."""
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
