"""New parts in a network's blueprint: their layers, and what they do to its channel groups."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

from ..graph.blueprint import ALL_GROUPS, Blueprint, Channels, Group, Layer, Op
from ..graph.submodules import join
from .block_graph import Piece


@dataclass(frozen=True)
class Graft:
    """A new part and where it goes.

    Attributes:
        name: of the module that it becomes.
        piece: the part.
        reads, writes: the channels of the network that it is put between.
        stage: whose choices decide about it.
        removes: layers that it takes the place of.
        before: the layer in front of which it runs, where it takes no other's place.
    """

    name: str
    piece: Piece
    reads: Channels
    writes: Channels
    stage: str
    removes: frozenset[str] = frozenset()
    before: str = ""


def graft(blueprint: Blueprint, grafts: Sequence[Graft]) -> Blueprint:
    """The blueprint with all parts put in.

    A part whose ends are one group of channels makes one group of those that it joins. A part
    that writes several groups side by side splits the group that it takes over, if no other layer
    writes that. Groups that a part cannot follow are fixed, and so are concatenated ones that are
    flattened from more than a pixel, which Torch-Pruning takes for one another.
    """
    if not grafts:
        return blueprint
    meanings, stuck = _Meanings(), set[str]()
    groups, rows = dict(blueprint.groups), dict[str, tuple[Layer, ...]]()
    removed = {name for one in grafts for name in one.removes}
    writers = _writers(blueprint, removed)
    for one in grafts:
        for inner in one.piece.inner:
            name = join(one.name, inner.name)
            groups[name] = Group(name, inner.size, one.stage)
        stuck |= _joined(one, meanings, writers)
        rows[one.name] = _placed(one)
    layers = tuple(_assembled(blueprint, grafts, rows, removed))
    whole = replace(blueprint, layers=layers, groups=MappingProxyType(groups))
    merged = whole.substituted(meanings.all())
    stuck |= set(groups) if _is_unfollowed(blueprint) else _split_and_flattened(layers, meanings)
    stuck = {group for name in stuck for group in meanings.of(name).groups}
    return merged.frozen(stuck & set(merged.groups)).without_orphans()


class _Meanings:
    """What groups have become, in terms of those that stay."""

    def __init__(self) -> None:
        self._terms = dict[str, Channels]()

    def of(self, group: str) -> Channels:
        """A group in terms of those that stay."""
        channels = Channels.of(group)
        while any(name in self._terms for name in channels.groups):
            channels = channels.substitute(self._terms)
        return channels

    def set(self, group: str, channels: Channels) -> None:
        self._terms[group] = channels

    def all(self) -> dict[str, Channels]:
        return {group: self.of(group) for group in self._terms}


def _joined(one: Graft, meanings: _Meanings, writers: Mapping[str, int]) -> set[str]:
    """Tie a piece's ends to the network. Returns the groups that can no longer be cut."""
    piece = one.piece
    written = piece.writes.substitute(_terms(one))
    if not piece.reads:
        return {*one.reads.groups, *one.writes.groups, *written.groups}
    into, out = one.reads.group, one.writes.group
    if piece.is_tied:
        if not into or not out:
            return set() if one.reads == one.writes else {*one.reads.groups, *one.writes.groups}
        if meanings.of(into) != meanings.of(out):
            meanings.set(meanings.of(out).group or out, Channels.of(into))
        return set()
    if written == one.writes:
        return set()
    if out and not writers.get(out) and meanings.of(out).group == out:
        meanings.set(out, written)
        return set()
    return {*one.writes.groups, *written.groups}


def _is_unfollowed(blueprint: Blueprint) -> bool:
    """Whether nothing of the network can be cut, so that nothing that joins it can."""
    return any(one.what == "channels" and one.name == ALL_GROUPS for one in blueprint.left_alone)


def _split_and_flattened(layers: Iterable[Layer], meanings: _Meanings) -> set[str]:
    """Groups that have become several, and that a linear layer reads pixel by pixel."""
    return {
        group
        for layer in layers
        if layer.op is Op.LINEAR
        for group, share in layer.reads.shares
        if share > 1 and not meanings.of(group).group
    }


def own_output(name: str, piece: Piece) -> Channels:
    """What a piece writes into groups of its own, when it becomes the module of that name."""
    return piece.writes.substitute(_own_groups(name, piece))


def _own_groups(name: str, piece: Piece) -> dict[str, Channels]:
    """The groups that a piece brings along, under their names in the network."""
    return {group.name: Channels.of(join(name, group.name)) for group in piece.inner}


def _terms(one: Graft) -> dict[str, Channels]:
    """What all groups of a piece are in the network."""
    terms = _own_groups(one.name, one.piece)
    if one.piece.reads:
        terms[one.piece.reads] = one.reads
    whole = one.piece.writes.group
    if whole and whole != one.piece.reads:
        terms[whole] = one.writes
    return terms


@lru_cache(maxsize=8192)
def _placed(one: Graft) -> tuple[Layer, ...]:
    """The part's layers as layers of the network."""
    terms = _terms(one)
    return tuple(
        layer.but(
            name=join(one.name, layer.name),
            stage=one.stage,
            normalises=layer.normalises and join(one.name, layer.normalises),
            reads=layer.reads.substitute(terms),
            writes=layer.writes.substitute(terms),
        )
        for layer in one.piece.layers
    )


def _assembled(
    blueprint: Blueprint,
    grafts: Sequence[Graft],
    rows: Mapping[str, tuple[Layer, ...]],
    removed: set[str],
) -> Iterator[Layer]:
    """All layers in running order: a part runs where the first that it removes did."""
    at = dict[str, list[str]]()
    order = {layer.name: number for number, layer in enumerate(blueprint.layers)}
    for one in grafts:
        where = one.before or min(one.removes, key=order.__getitem__)
        at.setdefault(where, []).append(one.name)
    ends = {name: _end(one) for one in grafts for name in one.removes}
    for layer in blueprint.layers:
        for name in at.get(layer.name, ()):
            yield from rows[name]
        if layer.name in removed:
            continue
        yield layer.but(normalises=ends[layer.normalises]) if layer.normalises in ends else layer


def _end(one: Graft) -> str:
    """The convolution that a batch norm behind a part can be folded into; empty if none is."""
    return one.piece.ends and join(one.name, one.piece.ends)


def _writers(blueprint: Blueprint, removed: Iterable[str]) -> dict[str, int]:
    """How many layers that stay compute the channels of each group."""
    gone, counts = set(removed), dict[str, int]()
    for layer in blueprint.layers:
        if layer.op in (Op.CONV, Op.LINEAR) and layer.name not in gone:
            for group in layer.writes.groups:
                counts[group] = counts.get(group, 0) + 1
    return counts
