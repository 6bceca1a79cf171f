"""Conversion of detected channel groups to those of a blueprint."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from ..graph.blueprint import STEM, Blueprint, Channels, Group, Layer, Op


@dataclass(frozen=True)
class ChannelGroup:
    """A channel group as detected in a network.

    Attributes:
        name: the root layer.
        size: the number of channels.
        writers, readers: layer name -> the layer's channels per channel of the group.
        reason: why the group must not be pruned; empty if it may be.
    """

    name: str
    size: int
    writers: Mapping[str, int]
    readers: Mapping[str, int]
    reason: str = ""


def with_groups(plain: Blueprint, channel_groups: Iterable[ChannelGroup]) -> Blueprint:
    """Return the blueprint with these groups, by which its layers' channels are expressed."""
    groups = dict[str, Group]()
    reads = dict[str, dict[str, tuple[int, int]]]()
    writes = dict[str, dict[str, tuple[int, int]]]()
    for group in channel_groups:
        name = _first_writer(plain, group)
        groups[name] = Group(name, group.size, _stage_of(plain, group))
        for reader, share in group.readers.items():
            reads.setdefault(reader, {})[name] = (group.size, share)
        for writer, share in group.writers.items():
            writes.setdefault(writer, {})[name] = (group.size, share)
    layers = []
    for layer in plain.layers:
        if layer.op is Op.OTHER:
            layers.append(layer)
            continue
        reading = share_channels(layer.reads.fixed, reads.get(layer.name, {}))
        writing = share_channels(layer.writes.fixed, writes.get(layer.name, {}))
        layers.append(replace(layer, reads=reading, writes=writing))
    return replace(plain, layers=tuple(layers), groups=MappingProxyType(groups))


def _stage_of(plain: Blueprint, group: ChannelGroup) -> str:
    """Return the stage of the first layer behind the stem that writes the group's channels."""
    stages = [layer.stage for layer in plain.layers if computes(layer, group.writers)]
    behind = [stage for stage in stages if stage != STEM]
    return behind[0] if behind else stages[0]


def _first_writer(plain: Blueprint, group: ChannelGroup) -> str:
    return next(layer.name for layer in plain.layers if computes(layer, group.writers))


def computes(layer: Layer, writers: Mapping[str, int]) -> bool:
    """Return whether a writer is a convolution or linear layer, and does not only pass channels."""
    return layer.name in writers and layer.op in (Op.CONV, Op.LINEAR)


def share_channels(total: int, groups: Mapping[str, tuple[int, int]]) -> Channels:
    """Express a layer's channels by groups; the rest is fixed.

    Args:
        total: the number of channels.
        groups: group -> (size, the layer's channels per channel of the group).
    """
    taken = sum(size * share for size, share in groups.values())
    if taken > total:
        return Channels(fixed=total)
    return Channels(total - taken, tuple((name, share) for name, (_, share) in groups.items()))
