"""Insertion of blocks into a network's blueprint: their layers and the merged channel groups."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

from ..graph.blueprint import ALL_GROUPS, Blueprint, Channels, Group, Layer, Op
from ..graph.submodules import join
from .block_graph import BlockGraph


@dataclass(frozen=True)
class Insertion:
    """A block and its place in the network.

    Attributes:
        name: the module name of the block.
        graph: the block.
        reads, writes: the channels of the network that it reads and writes.
        stage: the stage of its layers.
        removes: the layers that it replaces.
        before: the layer before which it runs, if it replaces none.
    """

    name: str
    graph: BlockGraph
    reads: Channels
    writes: Channels
    stage: str
    removes: frozenset[str] = frozenset()
    before: str = ""


def insert_blocks(blueprint: Blueprint, insertions: Sequence[Insertion]) -> Blueprint:
    """Return the blueprint with all blocks inserted.

    A block whose input and output are one channel group merges the groups that it connects. A block
    that writes several concatenated groups splits the group that it replaces, if no other layer
    writes that group. Groups are frozen if a block does not allow pruning them, or if they are
    concatenated and then flattened from several pixels, which Torch-Pruning confuses.
    """
    if not insertions:
        return blueprint
    meanings, stuck = _Meanings(), set[str]()
    groups, rows = dict(blueprint.groups), dict[str, tuple[Layer, ...]]()
    removed = {name for insertion in insertions for name in insertion.removes}
    writers = _writers(blueprint, removed)
    for insertion in insertions:
        for inner in insertion.graph.inner:
            name = join(insertion.name, inner.name)
            groups[name] = Group(name, inner.size, insertion.stage)
        stuck |= _joined(insertion, meanings, writers)
        rows[insertion.name] = _placed(insertion)
    layers = tuple(_assembled(blueprint, insertions, rows, removed))
    whole = replace(blueprint, layers=layers, groups=MappingProxyType(groups))
    merged = whole.substituted(meanings.all())
    stuck |= set(groups) if _is_unfollowed(blueprint) else _split_and_flattened(layers, meanings)
    stuck = {group for name in stuck for group in meanings.of(name).groups}
    return merged.frozen(stuck & set(merged.groups)).without_orphans()


class _Meanings:
    """Substitutions of merged and split groups by the remaining ones."""

    def __init__(self) -> None:
        self._terms = dict[str, Channels]()

    def of(self, group: str) -> Channels:
        """Express a group by the remaining groups."""
        channels = Channels.of(group)
        while any(name in self._terms for name in channels.groups):
            channels = channels.substitute(self._terms)
        return channels

    def set(self, group: str, channels: Channels) -> None:
        self._terms[group] = channels

    def all(self) -> dict[str, Channels]:
        return {group: self.of(group) for group in self._terms}


def _joined(insertion: Insertion, meanings: _Meanings, writers: Mapping[str, int]) -> set[str]:
    """Connect a block's input and output groups. Returns the groups that must be frozen."""
    graph = insertion.graph
    written = graph.writes.substitute(_terms(insertion))
    if not graph.reads:
        return {*insertion.reads.groups, *insertion.writes.groups, *written.groups}
    into, out = insertion.reads.group, insertion.writes.group
    if graph.is_tied:
        if not into or not out:
            return (
                set()
                if insertion.reads == insertion.writes
                else {*insertion.reads.groups, *insertion.writes.groups}
            )
        if meanings.of(into) != meanings.of(out):
            meanings.set(meanings.of(out).group or out, Channels.of(into))
        return set()
    if written == insertion.writes:
        return set()
    if out and not writers.get(out) and meanings.of(out).group == out:
        meanings.set(out, written)
        return set()
    return {*insertion.writes.groups, *written.groups}


def _is_unfollowed(blueprint: Blueprint) -> bool:
    """Return whether no channel of the network can be pruned, which then holds for new blocks."""
    return any(
        skipped.technique == "channels" and skipped.name == ALL_GROUPS
        for skipped in blueprint.skipped
    )


def _split_and_flattened(layers: Iterable[Layer], meanings: _Meanings) -> set[str]:
    """Return the split groups that a linear layer reads with several pixels per channel."""
    return {
        group
        for layer in layers
        if layer.op is Op.LINEAR
        for group, share in layer.reads.shares
        if share > 1 and not meanings.of(group).group
    }


def own_output(name: str, graph: BlockGraph) -> Channels:
    """Return a block's output channels in its own groups, under their names in the network."""
    return graph.writes.substitute(_own_groups(name, graph))


def _own_groups(name: str, graph: BlockGraph) -> dict[str, Channels]:
    """Map a block's inner groups to their names in the network."""
    return {group.name: Channels.of(join(name, group.name)) for group in graph.inner}


def _terms(insertion: Insertion) -> dict[str, Channels]:
    """Map all groups of a block to channels of the network."""
    terms = _own_groups(insertion.name, insertion.graph)
    if insertion.graph.reads:
        terms[insertion.graph.reads] = insertion.reads
    whole = insertion.graph.writes.group
    if whole and whole != insertion.graph.reads:
        terms[whole] = insertion.writes
    return terms


@lru_cache(maxsize=8192)
def _placed(insertion: Insertion) -> tuple[Layer, ...]:
    """Return the block's layers with names and channels of the network."""
    terms = _terms(insertion)
    return tuple(
        layer.but(
            name=join(insertion.name, layer.name),
            stage=insertion.stage,
            normalises=layer.normalises and join(insertion.name, layer.normalises),
            reads=layer.reads.substitute(terms),
            writes=layer.writes.substitute(terms),
        )
        for layer in insertion.graph.layers
    )


def _assembled(
    blueprint: Blueprint,
    insertions: Sequence[Insertion],
    rows: Mapping[str, tuple[Layer, ...]],
    removed: set[str],
) -> Iterator[Layer]:
    """Yield all layers in running order: a block takes the position of its first removed layer."""
    at = dict[str, list[str]]()
    order = {layer.name: number for number, layer in enumerate(blueprint.layers)}
    for insertion in insertions:
        where = insertion.before or min(insertion.removes, key=order.__getitem__)
        at.setdefault(where, []).append(insertion.name)
    ends = {name: _end(insertion) for insertion in insertions for name in insertion.removes}
    for layer in blueprint.layers:
        for name in at.get(layer.name, ()):
            yield from rows[name]
        if layer.name in removed:
            continue
        yield layer.but(normalises=ends[layer.normalises]) if layer.normalises in ends else layer


def _end(insertion: Insertion) -> str:
    """Return the convolution into which a batch norm behind the block can be folded, or ""."""
    return insertion.graph.ends and join(insertion.name, insertion.graph.ends)


def _writers(blueprint: Blueprint, removed: Iterable[str]) -> dict[str, int]:
    """Count the remaining convolutions and linear layers that write each group."""
    gone, counts = set(removed), dict[str, int]()
    for layer in blueprint.layers:
        if layer.op in (Op.CONV, Op.LINEAR) and layer.name not in gone:
            for group in layer.writes.groups:
                counts[group] = counts.get(group, 0) + 1
    return counts
