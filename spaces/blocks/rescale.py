"""Block graphs at other widths, derived from one traced graph.

Tracing a block takes tens of milliseconds, mostly for its channel groups, and a search needs the
same kind of block at hundreds of widths. Layers, image sizes and channel groups are the same at
every width; only channel counts change, and these are read from the built modules.
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
    """Return the graph of a block that has the structure of another at other widths.

    Args:
        template: the graph of the other block.
        part: the new block, on the meta device.
        in_channels, out_channels: the interface of the new block.

    Returns:
        None if the structures differ: the block must be traced.
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
    """Return a layer with the channel counts of a module, and record sizes of new groups."""
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
    """Set the image size of a convolution over transposed images, which has `image`."""
    image = getattr(module, "image", None)
    if image is None or layer.geometry is None:
        return layer
    geometry = replace(layer.geometry, input_size=image)
    return layer.but(geometry=geometry, positions=geometry.output_pixels)


def _channels(template: Channels, count: int, sizes: Mapping[str, int]) -> Channels | None:
    """Return `count` channels in the groups of the template; None if the sizes do not match."""
    if not template.shares:
        return Channels(count)
    if template.fixed or any(group not in sizes for group in template.groups):
        return None
    return template if template.count(sizes) == count else None


def _is_alike(layer: Layer, seen: Layer) -> bool:
    """Return whether two layers differ only in their channel counts."""
    if layer.op is Op.OTHER or (layer.split == 0) != (seen.split == 0):
        return False
    if layer.geometry is None or seen.geometry is None:
        return (layer.op, layer.bias, layer.per_channel) == (seen.op, seen.bias, seen.per_channel)
    size = layer.geometry.input_size
    return layer.bias == seen.bias and layer.geometry == replace(seen.geometry, input_size=size)
