"""What head and neck share: surgery on what follows a network's last feature map."""

from __future__ import annotations

from collections import OrderedDict

from ...lazy_imports import nn
from ..graph.blueprint import Blueprint, Channels
from ..graph.frozen import TO_BE_KEPT
from ..graph.structure import Tail
from ..graph.submodules import replace_module


def usable_tail(blueprint: Blueprint) -> Tail:
    """The tail, where surgery is possible.

    Raises:
        ValueError: it is not; `why_no_tail` says why.
    """
    tail = blueprint.landmarks.tail
    if tail is None:
        raise ValueError("the network has no tail")
    return tail


def why_no_tail(blueprint: Blueprint) -> str:
    """Why nothing can be done behind the last feature map; empty if something can."""
    tail = blueprint.landmarks.tail
    if tail is None:
        return "no linear layer stands alone behind its last feature map"
    if tail.functional:
        calls = ", ".join(op.removeprefix("aten::") for op in tail.functional)
        return f"its head calls functions that no module stands for ({calls})"
    if tail.fixed:
        return "its forward pass reshapes to a fixed number of features"
    if any(blueprint.layer(name).kept for name in tail.linears):
        return TO_BE_KEPT
    if not tail.pools:
        return "no pooling module stands in front of its linear layers"
    return ""


def feature_channels(blueprint: Blueprint, tail: Tail) -> Channels:
    """The channels of the last feature map, in the terms of the blueprint."""
    reads = blueprint.layer(tail.linears[0]).reads
    shares = tuple((group, share // tail.pixels) for group, share in reads.shares)
    return Channels(reads.fixed // tail.pixels, shares)


def put_before(network: nn.Module, pool: str, parts: OrderedDict[str, nn.Module]) -> None:
    """Put modules in front of a pooling module, which becomes "pool" beside them."""
    old = network.get_submodule(pool)
    replace_module(network, pool, nn.Sequential(OrderedDict([*parts.items(), ("pool", old)])))
