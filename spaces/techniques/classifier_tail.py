"""What head and neck share: surgery on what follows a network's last feature map."""

from __future__ import annotations

from collections import OrderedDict

from ...lazy_imports import nn
from ..graph.blueprint import Blueprint, Channels
from ..graph.frozen import FROZEN_BY_KEEP
from ..graph.structure import ClassifierHead
from ..graph.submodules import replace_module


def usable_head(blueprint: Blueprint) -> ClassifierHead:
    """The tail, where surgery is possible.

    Raises:
        ValueError: it is not; `why_no_head` says why.
    """
    head = blueprint.structure.classifier_head
    if head is None:
        raise ValueError("the network has no tail")
    return head


def why_no_head(blueprint: Blueprint) -> str:
    """Why nothing can be done behind the last feature map; empty if something can."""
    head = blueprint.structure.classifier_head
    if head is None:
        return "no linear layer stands alone behind its last feature map"
    if head.functional:
        calls = ", ".join(op.removeprefix("aten::") for op in head.functional)
        return f"its head calls functions that no module stands for ({calls})"
    if head.fixed:
        return "its forward pass reshapes to a fixed number of features"
    if any(blueprint.layer(name).is_frozen for name in head.linears):
        return FROZEN_BY_KEEP
    if not head.pools:
        return "no pooling module stands in front of its linear layers"
    return ""


def feature_channels(blueprint: Blueprint, head: ClassifierHead) -> Channels:
    """The channels of the last feature map, in the terms of the blueprint."""
    reads = blueprint.layer(head.linears[0]).reads
    shares = tuple((group, share // head.pixels) for group, share in reads.shares)
    return Channels(reads.fixed // head.pixels, shares)


def put_before(network: nn.Module, pool: str, parts: OrderedDict[str, nn.Module]) -> None:
    """Put modules in front of a pooling module, which becomes "pool" beside them."""
    old = network.get_submodule(pool)
    replace_module(network, pool, nn.Sequential(OrderedDict([*parts.items(), ("pool", old)])))
