"""Which channels of a network belong together, and how they are removed.

Torch-Pruning's dependency graph (Fang et al., DepGraph, 2023, https://arxiv.org/abs/2301.12900)
finds the groups and does the surgery. How many channels go is decided here, by rule and not by
weights, so that the cost of a plan is known before it is trained.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch_pruning
from torch import nn

from .blueprint import Channels
from .channel_pad import ChannelPad

Importance = Callable[["torch_pruning.Group"], torch.Tensor | None]
"""Scores a group's channels: one figure per channel, the least important lowest."""


def kept_channels(size: int, share: float) -> int:
    """How many of `size` channels stay when `share` of them (0 to 1) should.

    Rounded to a multiple of 8 in wide groups and of 4 in middling ones, since odd widths give no
    speed, and never to none.
    """
    multiple = 8 if size >= 64 else 4 if size >= 16 else 1
    return min(size, max(multiple, round(size * share / multiple) * multiple))


@dataclass(frozen=True)
class FoundGroup:
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


def find_groups(network: nn.Module, images: torch.Tensor) -> list[FoundGroup]:
    """The channel groups of a network but its class scores, in Torch-Pruning's order.

    Args:
        network: on any device, the meta device included.
        images: [2, channels, height, width] on the same device.

    Raises:
        Exception: whatever Torch-Pruning raises on a network that it cannot follow.
    """
    graph = _graph(network, images)
    names = {module: name for name, module in network.named_modules()}
    return [
        _describe(graph, group, names)
        for group in graph.get_all_groups()
        if not _is_output(graph, group)
    ]


def remove_channels(
    network: nn.Module,
    images: torch.Tensor,
    keep: Mapping[str, int],
    importance: Importance,
) -> nn.Module:
    """Remove channels from a network, in place.

    Args:
        network: the network to cut.
        images: [2, channels, height, width]; only the shape matters.
        keep: root layer -> how many of its output channels stay.
        importance: tells which ones; all groups are scored before any is cut.
    """
    training = network.training
    graph = _graph(network, images)
    cuts = [
        (network.get_submodule(root), _least_important(graph, network, root, count, importance))
        for root, count in keep.items()
    ]
    for module, channels in cuts:
        if channels:
            pruner = graph.get_pruner_of_module(module)
            graph.get_pruning_group(module, pruner.prune_out_channels, channels).prune()
    return network.train(training)


def _least_important(
    graph: "torch_pruning.DependencyGraph",
    network: nn.Module,
    root: str,
    count: int,
    importance: Importance,
) -> list[int]:
    module = network.get_submodule(root)
    pruner = graph.get_pruner_of_module(module)
    everything = list(range(pruner.get_out_channels(module)))
    if count >= len(everything):
        return []
    scores = importance(graph.get_pruning_group(module, pruner.prune_out_channels, everything))
    if scores is None:
        raise ValueError(f"the pruning criterion has no score for the channels of {root}")
    if scores.is_meta:  # no weights to tell channels apart by, and for the cost any will do
        return everything[count:]
    order = torch.argsort(scores, stable=True)[: len(everything) - count]
    return sorted(order.tolist())


def _graph(network: nn.Module, images: torch.Tensor) -> "torch_pruning.DependencyGraph":
    with torch.enable_grad():
        return torch_pruning.DependencyGraph().build_dependency(
            network, images, customized_pruners={ChannelPad: _ChannelPadPruner()}, verbose=False
        )


def _describe(
    graph: "torch_pruning.DependencyGraph",
    group: "torch_pruning.Group",
    names: Mapping[nn.Module, str],
) -> FoundGroup:
    root, size = group[0].dep.target.module, len(group[0].idxs)
    writers, readers = dict[str, int](), dict[str, int]()
    reasons = []
    for dep, channels in group:
        target = dep.target
        if target.type == torch_pruning.ops.OPTYPE.PARAMETER:
            reasons.append("a bare parameter of the network goes with it")
        elif target.module in names:
            reasons.extend(_refusals(target.module, names[target.module], len(channels), size))
            share = len(channels) // size
            if graph.is_out_channel_pruning_fn(dep.handler):
                writers[names[target.module]] = share
                if _writes_more(target.module, len(channels)):
                    reasons.append("a slice or pad in the forward pass ties it to other channels")
            if graph.is_in_channel_pruning_fn(dep.handler):
                readers[names[target.module]] = share
    return FoundGroup(names[root], size, writers, readers, "; ".join(dict.fromkeys(reasons)))


def _is_output(graph: "torch_pruning.DependencyGraph", group: "torch_pruning.Group") -> bool:
    return any(
        dep.target.type == torch_pruning.ops.OPTYPE.OUTPUT
        or (graph.is_out_channel_pruning_fn(dep.handler) and not dep.target.outputs)
        for dep, _ in group
    )


def _writes_more(module: nn.Module, channels: int) -> bool:
    # Torch-Pruning follows slices and pads without their offset: cut there, the network still
    # runs, but channels add up that never belonged together.
    if isinstance(module, nn.Conv2d):
        return module.out_channels > channels
    return isinstance(module, nn.Linear) and module.out_features > channels


def _refusals(module: nn.Module, name: str, channels: int, size: int) -> Iterator[str]:
    if isinstance(module, nn.Conv2d) and 1 < module.groups < module.out_channels:
        yield f"{name} is a grouped convolution"
    if isinstance(module, nn.GroupNorm | nn.MultiheadAttention):
        yield f"{name} ({type(module).__name__}) splits its channels"
    if channels % size:
        yield f"{name} reads {channels} channels for {size}"


class _ChannelPadPruner(torch_pruning.BasePruningFunc):  # type: ignore[misc]
    """Tells Torch-Pruning how a ChannelPad loses channels: its two sides are independent."""

    TARGET_MODULES = ChannelPad

    def prune_out_channels(self, layer: ChannelPad, idxs: Sequence[int]) -> ChannelPad:
        layer.remove_outputs(list(idxs))
        return layer

    def prune_in_channels(self, layer: ChannelPad, idxs: Sequence[int]) -> ChannelPad:
        layer.remove_inputs(list(idxs))
        return layer

    def get_out_channels(self, layer: ChannelPad) -> int:
        return layer.out_channels

    def get_in_channels(self, layer: ChannelPad) -> int:
        return layer.in_channels


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
