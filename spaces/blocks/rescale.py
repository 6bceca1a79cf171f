"""Pieces at other widths: what was found out once about a part holds for its likes.

Taking a part apart costs tens of milliseconds, most of it for its channel groups, and a search asks
for the same sort of block at hundreds of widths. Its layers, their images and which channels belong
together stay as they are; only counts change, and those can be read off the modules as built.
"""

from collections.abc import Mapping
from dataclasses import replace

from torch import nn

from ..graph.blueprint import Channels, Layer, Op
from ..graph.tracing import has_parameters, layer_of
from .block_graph import BlockGraph


def resized(
    template: BlockGraph, part: nn.Module, in_channels: int, out_channels: int
) -> BlockGraph | None:
    """The piece of a part that is built like another at other widths.

    Args:
        template: the other's piece.
        part: the new part, on the meta device.
        in_channels, out_channels: its interface.

    Returns:
        None where the two are not alike after all: the part must be taken apart itself.
    """
    modules = {name: module for name, module in part.named_modules() if has_parameters(module)}
    if modules.keys() != {layer.name for layer in template.layers}:
        return None
    sizes, layers = {template.reads: in_channels} if template.reads else {}, list[Layer]()
    for layer in template.layers:
        again = _again(layer, modules[layer.name], sizes)
        if again is None:
            return None
        layers.append(again)
    if not {group.name for group in template.inner} <= sizes.keys():
        return None
    writes = _channels(template.writes, out_channels, sizes)
    if writes is None:
        return None
    inner = tuple(replace(group, size=sizes[group.name]) for group in template.inner)
    return BlockGraph(tuple(layers), template.reads, writes, inner, template.ends)


def _again(layer: Layer, module: nn.Module, sizes: dict[str, int]) -> Layer | None:
    """A layer with the counts of another module; groups that it is the first to write get sizes."""
    seen = layer_of(layer.name, module)
    if not _is_alike(layer, seen):
        return None
    into, out = seen.reads.fixed, seen.writes.fixed
    if layer.writes.group:
        sizes.setdefault(layer.writes.group, out)
    reads, writes = _channels(layer.reads, into, sizes), _channels(layer.writes, out, sizes)
    if reads is None or writes is None:
        return None
    return _looking_at(module, layer.but(reads=reads, writes=writes, split=seen.split))


def _looking_at(module: nn.Module, layer: Layer) -> Layer:
    """The layer over its own image, where a convolution takes channels for pixels and says so."""
    image = getattr(module, "image", None)
    if image is None or layer.geometry is None:
        return layer
    geometry = replace(layer.geometry, input_size=image)
    return layer.but(geometry=geometry, positions=geometry.output_pixels)


def _channels(template: Channels, count: int, sizes: Mapping[str, int]) -> Channels | None:
    """So many channels in the terms of the template, if its terms come to that."""
    if not template.shares:
        return Channels(count)
    if template.fixed or any(group not in sizes for group in template.groups):
        return None
    return template if template.count(sizes) == count else None


def _is_alike(layer: Layer, seen: Layer) -> bool:
    """Whether two layers do the same to images, whatever their channels."""
    if layer.op is Op.OTHER or (layer.split == 0) != (seen.split == 0):
        return False
    if layer.geometry is None or seen.geometry is None:
        return (layer.op, layer.bias, layer.per_channel) == (seen.op, seen.bias, seen.per_channel)
    size = layer.geometry.input_size
    return layer.bias == seen.bias and layer.geometry == replace(seen.geometry, input_size=size)
