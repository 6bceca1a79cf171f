"""Where block families can act: the convolutions of a network that mix both pixels and channels."""

from dataclasses import dataclass

from .blueprint import Blueprint, Geometry, Layer, LeftAlone, Op


@dataclass(frozen=True)
class ConvSpec:
    """Everything that a replacement for a convolution must keep to.

    Attributes:
        in_channels, out_channels: the interface that stays.
        geometry: kernel, stride, padding, dilation and the size of its input image, in pixels.
        bias: whether the replacement needs a bias; not where batch norm follows.
    """

    in_channels: int
    out_channels: int
    geometry: Geometry
    bias: bool


@dataclass(frozen=True)
class Site:
    """A place where a block family can act: one convolution, known by its module name."""

    name: str
    stage: str
    layer: Layer
    bias: bool

    def spec(self, sizes: dict[str, int]) -> ConvSpec:
        """What a replacement must keep to when the channel groups have these sizes."""
        if self.layer.geometry is None:
            raise ValueError(f"{self.name} has no geometry: it is no convolution")
        reads, writes = self.layer.reads.count(sizes), self.layer.writes.count(sizes)
        return ConvSpec(reads, writes, self.layer.geometry, self.bias)


def find_sites(blueprint: Blueprint) -> tuple[Site, ...]:
    """The convolutions with a kernel of 3 or more and one group that the network runs."""
    return tuple(
        Site(layer.name, layer.stage, layer, _needs_bias(blueprint, index))
        for index, layer in enumerate(blueprint.layers)
        if layer.op is Op.CONV and not _why_not(layer)
    )


def refused_convolutions(blueprint: Blueprint) -> tuple[LeftAlone, ...]:
    """The convolutions that are no sites, with the reason."""
    return tuple(
        LeftAlone("block", layer.name, reason)
        for layer in blueprint.layers
        if layer.op is Op.CONV and (reason := _why_not(layer))
    )


def _why_not(layer: Layer) -> str:
    geometry = layer.geometry
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


def _needs_bias(blueprint: Blueprint, index: int) -> bool:
    layer = blueprint.layers[index]
    behind = blueprint.layers[index + 1 : index + 2]
    normalised = bool(behind) and behind[0].per_channel == 2 and behind[0].reads == layer.writes
    return layer.bias and not normalised
