"""Channel groups as found in a network, put into the terms of its blueprint."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from ..graph.blueprint import STEM, Blueprint, Channels, Group, Layer, Op


@dataclass(frozen=True)
class ChannelGroup:
    """A channel group as found in a network.

    Attributes:
        writers, readers: layer name -> how many of the layer's channels stand for one of these.
        reason: why the group must be left alone; empty if it may be cut.
    """

    name: str
    size: int
    writers: Mapping[str, int]
    readers: Mapping[str, int]
    reason: str = ""


def with_groups(plain: Blueprint, channel_groups: Iterable[ChannelGroup]) -> Blueprint:
    """A blueprint with its layers' channels in terms of these groups."""
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
    """The stage of the first layer behind the stem that writes the group's channels."""
    stages = [layer.stage for layer in plain.layers if computes(layer, group.writers)]
    behind = [stage for stage in stages if stage != STEM]
    return behind[0] if behind else stages[0]


def _first_writer(plain: Blueprint, group: ChannelGroup) -> str:
    return next(layer.name for layer in plain.layers if computes(layer, group.writers))


def computes(layer: Layer, writers: Mapping[str, int]) -> bool:
    """Whether a layer is one that makes a group's channels, and not one that passes them on."""
    return layer.name in writers and layer.op in (Op.CONV, Op.LINEAR)


def share_channels(total: int, groups: Mapping[str, tuple[int, int]]) -> Channels:
    """A layer's channels as shares of groups, the rest fixed.

    Args:
        total: how many channels the layer has.
        groups: group -> (its size, the layer's channels for each of its own).
    """
    taken = sum(size * share for size, share in groups.values())
    if taken > total:
        return Channels(fixed=total)
    return Channels(total - taken, tuple((name, share) for name, (_, share) in groups.items()))
