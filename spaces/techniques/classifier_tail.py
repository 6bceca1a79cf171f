"""Helpers of `head` and `neck` for the layers behind a network's last feature map."""

from __future__ import annotations

from collections import OrderedDict

from ...lazy_imports import nn
from ..graph.blueprint import Blueprint, Channels
from ..graph.frozen import FROZEN_BY_KEEP
from ..graph.structure import ClassifierHead
from ..graph.submodules import replace_module


def usable_head(blueprint: Blueprint) -> ClassifierHead:
    """Return the classifier head; call only where `why_no_head` returns no reason.

    Raises:
        ValueError: the network has no classifier head.
    """
    head = blueprint.structure.classifier_head
    if head is None:
        raise ValueError("the network has no classifier head")
    return head


def why_no_head(blueprint: Blueprint) -> str:
    """Return why the classifier head cannot be changed; empty if it can."""
    head = blueprint.structure.classifier_head
    if head is None:
        return "no linear layer follows the last feature map"
    if head.functional:
        calls = ", ".join(op.removeprefix("aten::") for op in head.functional)
        return f"the head calls functions outside of modules ({calls})"
    if head.fixed:
        return "the forward pass reshapes to a fixed number of features"
    if any(blueprint.layer(name).is_frozen for name in head.linears):
        return FROZEN_BY_KEEP
    if not head.pools:
        return "no pooling module precedes the linear layers"
    return ""


def feature_channels(blueprint: Blueprint, head: ClassifierHead) -> Channels:
    """Return the channels of the last feature map."""
    reads = blueprint.layer(head.linears[0]).reads
    shares = tuple((group, share // head.pixels) for group, share in reads.shares)
    return Channels(reads.fixed // head.pixels, shares)


def put_before(network: nn.Module, pool: str, parts: OrderedDict[str, nn.Module]) -> None:
    """Insert modules before a pooling module, which becomes their sibling "pool"."""
    old = network.get_submodule(pool)
    replace_module(network, pool, nn.Sequential(OrderedDict([*parts.items(), ("pool", old)])))
