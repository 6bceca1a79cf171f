"""A new part of a network, as the layers and channel groups that it brings along."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn

from .blueprint import Blueprint, Channels, Group, Layer
from .grouping import trace_with_groups
from .names import relative
from .tracing import trace


@dataclass(frozen=True, eq=False)
class Piece:
    """A new part of a network, in its own terms. Each is equal to itself alone.

    Attributes:
        layers: names relative to the part; channels as shares of its groups.
        reads: the group that stands for its input; empty where the part cannot follow a cut, as
            behind a channel shuffle, so that none may be made.
        writes: its output in terms of its groups: one group, several concatenated, or fixed.
        inner: the channel groups that live inside, the output's among them.
    """

    layers: tuple[Layer, ...]
    reads: str
    writes: Channels
    inner: tuple[Group, ...]

    @property
    def is_tied(self) -> bool:
        """Whether input and output are the same channels, as around an identity shortcut."""
        return self.writes.is_group(self.reads)


def take_apart(
    make: Callable[[], nn.Module],
    in_channels: int,
    out_channels: int,
    size: tuple[int, int],
    *,
    cuttable: bool = True,
) -> Piece:
    """The piece that a module is, traced on the meta device between two probes.

    Args:
        make: builds the module, [batch, in, h, w] -> [batch, out, ...]; called on the meta device.
        size: of its input images, in pixels.
        cuttable: whether its channels may be cut at all.
    """
    with torch.device("meta"):
        probe = _Probe(make(), in_channels, out_channels)
    images = torch.zeros(2, 1, *size, device="meta")
    if not cuttable:
        return Piece(_own_layers(trace(probe, images)), "", Channels(out_channels), ())
    traced = trace_with_groups(probe, images, part=True)
    into, out = traced.layer("before").writes, traced.layer("after").reads
    reads = into.group
    if not reads:
        traced = traced.frozen({*into.groups, *out.groups})
        out = traced.layer("after").reads
    return Piece(
        layers=_own_layers(traced),
        reads=reads,
        writes=_renamed(out),
        inner=tuple(
            replace(group, name=relative(name, "part"))
            for name, group in traced.groups.items()
            if name != reads
        ),
    )


def _own_layers(traced: Blueprint) -> tuple[Layer, ...]:
    return tuple(
        replace(
            layer,
            name=relative(layer.name, "part"),
            reads=_renamed(layer.reads),
            writes=_renamed(layer.writes),
        )
        for layer in traced.layers
        if layer.name not in ("before", "after")
    )


def _renamed(channels: Channels) -> Channels:
    return replace(channels, shares=tuple((relative(g, "part"), n) for g, n in channels.shares))


class _Probe(nn.Module):
    """A module between two convolutions, so that its ends are channel groups like any other."""

    def __init__(self, part: nn.Module, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.before = nn.Conv2d(1, in_channels, 1)
        self.part = part
        self.after = nn.Conv2d(out_channels, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.after(self.part(self.before(x)))
        return out.mean((2, 3))
