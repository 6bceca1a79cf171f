"""Tracing of a block: its layers and channel groups as a `BlockGraph`."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import nn

from ..graph.blueprint import Blueprint, Channels, Layer
from ..graph.dataflow import Flow, watch
from ..graph.input_sizes import with_folds
from ..graph.structure_detection import find_normalised
from ..graph.submodules import relative
from ..graph.tracing import trace
from ..pruning.trace_groups import trace_with_groups
from .block_graph import BlockGraph


def take_apart(
    make: Callable[[], nn.Module],
    in_channels: int,
    out_channels: int,
    size: tuple[int, int],
    *,
    cuttable: bool = True,
) -> BlockGraph:
    """Trace a module on the meta device, between two probe convolutions.

    Args:
        make: builds the module, [batch, in, h, w] -> [batch, out, ...]; called on the meta device.
        size: height and width of the input in pixels.
        cuttable: whether its channels may be pruned.
    """
    with torch.device("meta"):
        probe = _Probe(make(), in_channels, out_channels)
    images = torch.zeros(2, 1, *size, device="meta")
    flow = watch(probe, images)
    folds, ends = find_normalised(flow), _end(flow)
    if not cuttable:
        traced = trace(probe, images)
        return BlockGraph(_own_layers(traced, folds), "", Channels(out_channels), (), ends)
    traced = trace_with_groups(probe, images, part=True)
    into, out = traced.layer("before").writes, traced.layer("after").reads
    reads = into.group
    if not reads:
        traced = traced.frozen({*into.groups, *out.groups})
        out = traced.layer("after").reads
    return BlockGraph(
        layers=_own_layers(traced, folds),
        reads=reads,
        writes=_renamed(out),
        inner=tuple(
            replace(group, name=relative(name, "part"))
            for name, group in traced.groups.items()
            if name != reads
        ),
        ends=ends,
    )


def _end(flow: Flow) -> str:
    """Return the convolution whose output only the second probe reads; empty if there is none."""
    value = next(call.reads for call in flow.calls if call.name == "after")
    convs = [
        call.name
        for call in flow.calls
        if call.writes == value and isinstance(call.module, nn.Conv2d) and call.name != "before"
    ]
    alone = len(convs) == 1 and len(flow.readers(value)) == 1
    return relative(convs[0], "part") if alone else ""


def _own_layers(traced: Blueprint, folds: Mapping[str, str]) -> tuple[Layer, ...]:
    return tuple(
        layer.but(
            name=relative(layer.name, "part"),
            reads=_renamed(layer.reads),
            writes=_renamed(layer.writes),
            normalises=relative(layer.normalises, "part"),
        )
        for layer in with_folds(traced.layers, folds)
        if layer.name not in ("before", "after")
    )


def _renamed(channels: Channels) -> Channels:
    return replace(channels, shares=tuple((relative(g, "part"), n) for g, n in channels.shares))


class _Probe(nn.Module):
    """A module between two convolutions, so that its input and output belong to channel groups."""

    def __init__(self, part: nn.Module, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.before = nn.Conv2d(1, in_channels, 1)
        self.part = part
        self.after = nn.Conv2d(out_channels, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.after(self.part(self.before(x)))
        return out.mean((2, 3))
