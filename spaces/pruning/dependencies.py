"""Channel groups of a network, and the removal of their channels.

Torch-Pruning's dependency graph (Fang et al., DepGraph, 2023, https://arxiv.org/abs/2301.12900)
finds the groups and removes channels. The number of channels is given by the caller and does not
depend on weights, so that the cost of a plan is known before training.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
import torch_pruning
from torch import nn

from ..models.channel_pad import ChannelPad
from .groups import ChannelGroup

Importance = Callable[["torch_pruning.Group"], torch.Tensor | None]
"""Scores a group's channels: Torch-Pruning group -> [channels], the least important lowest."""


_MOST_PLACES = 1 << 20
"""The maximum number of indices in a channel group; torchvision's CNNs have far fewer."""


class _BoundedGroup(torch_pruning.Group):  # type: ignore[misc]
    """A group that raises an error before it exhausts the memory.

    NOTE: groups of Torch-Pruning grow without bound behind the reshapes of window attention (Swin,
    MaxViT).
    """

    def add_dep(self, dep: object, idxs: Sequence[object]) -> None:
        self.places = getattr(self, "places", 0) + len(idxs)
        if self.places > _MOST_PLACES:
            raise OverflowError(
                f"expected at most {_MOST_PLACES} indices in a channel group, got {self.places}"
            )
        super().add_dep(dep, idxs)


class _BoundedGraph(torch_pruning.DependencyGraph):  # type: ignore[misc]
    """A dependency graph with bounded groups."""

    def get_pruning_group(
        self, module: nn.Module, pruning_fn: object, idxs: Sequence[int]
    ) -> "torch_pruning.Group":
        # NOTE: Torch-Pruning looks up its Group class in its own module.
        home = torch_pruning.dependency.graph
        usual, home.Group = home.Group, _BoundedGroup
        try:
            return super().get_pruning_group(module, pruning_fn, idxs)
        finally:
            home.Group = usual


def find_groups(network: nn.Module, images: torch.Tensor) -> list[ChannelGroup]:
    """Find the channel groups of a network, except its outputs, in Torch-Pruning's order.

    Args:
        network: on any device, including meta.
        images: [2, channels, height, width] on the same device.

    Raises:
        Exception: any exception, if Torch-Pruning does not support the network.
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
    importance: Importance | None,
    went: dict[str, list[int]] | None = None,
) -> nn.Module:
    """Remove channels from a network, in place.

    Args:
        network: the network to prune.
        images: [2, channels, height, width]; only the shape matters.
        keep: root layer -> number of remaining output channels.
        importance: scores the channels; all groups are scored before any is pruned. None removes
            random channels with a fixed seed, which is faster.
        went: if given, receives the indices of the removed channels: root layer -> indices.
    """
    training = network.training
    graph = _graph(network, images)
    cuts = _cuts(graph, network, keep, importance)
    for root, channels in cuts.items():
        _group_of(graph, network.get_submodule(root), channels).prune()
    if went is not None:
        went.update(cuts)
    return network.train(training)


def silence_channels(
    network: nn.Module,
    images: torch.Tensor,
    keep: Mapping[str, int],
    importance: Importance | None,
) -> nn.Module:
    """Zero the outputs that `remove_channels` would remove, with hooks, in place."""
    graph = _graph(network, images)
    for root, channels in _cuts(graph, network, keep, importance).items():
        for dep, silent in _group_of(graph, network.get_submodule(root), channels):
            target = dep.target.module
            if graph.is_out_channel_pruning_fn(dep.handler) and isinstance(target, nn.Module):
                target.register_forward_hook(_silencer(silent))
    return network.eval()


def _silencer(channels: list[int]) -> Callable[..., torch.Tensor]:
    def silence(module: nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
        dimension = -1 if isinstance(module, nn.Linear | nn.LayerNorm) else 1
        return output.index_fill(dimension, torch.tensor(channels), 0)

    return silence


def _cuts(
    graph: "torch_pruning.DependencyGraph",
    network: nn.Module,
    keep: Mapping[str, int],
    importance: Importance | None,
) -> dict[str, list[int]]:
    """Select the channels to remove, by root; all groups are scored before any is pruned."""
    cuts = {
        root: _least_important(graph, network, root, count, importance)
        for root, count in keep.items()
    }
    return {root: channels for root, channels in cuts.items() if channels}


def _group_of(
    graph: "torch_pruning.DependencyGraph", module: nn.Module, channels: list[int]
) -> "torch_pruning.Group":
    pruner = graph.get_pruner_of_module(module)
    return graph.get_pruning_group(module, pruner.prune_out_channels, channels)


def _least_important(
    graph: "torch_pruning.DependencyGraph",
    network: nn.Module,
    root: str,
    count: int,
    importance: Importance | None,
) -> list[int]:
    module = network.get_submodule(root)
    everything = list(range(graph.get_pruner_of_module(module).get_out_channels(module)))
    if count >= len(everything):
        return []
    if importance is None:
        return sorted(random.Random(0).sample(everything, len(everything) - count))
    scores = importance(_group_of(graph, module, everything))
    if scores is None:
        raise ValueError(f"the pruning criterion has no score for the channels of {root}")
    if scores.is_meta:  # no weights; for shapes, any channels will do
        return everything[count:]
    order = torch.argsort(scores, stable=True)[: len(everything) - count]
    return sorted(order.tolist())


def _graph(network: nn.Module, images: torch.Tensor) -> "torch_pruning.DependencyGraph":
    with torch.enable_grad():
        return _BoundedGraph().build_dependency(
            network, images, customized_pruners={ChannelPad: _ChannelPadPruner()}, verbose=False
        )


def _describe(
    graph: "torch_pruning.DependencyGraph",
    group: "torch_pruning.Group",
    names: Mapping[nn.Module, str],
) -> ChannelGroup:
    root, size = group[0].dep.target.module, len(group[0].idxs)
    writers, readers = dict[str, int](), dict[str, int]()
    reasons = []
    for dep, channels in group:
        target = dep.target
        if target.type == torch_pruning.ops.OPTYPE.PARAMETER:
            reasons.append("it includes a parameter outside of layers")
        elif target.module in names:
            reasons.extend(_refusals(target.module, names[target.module], len(channels), size))
            share = len(channels) // size
            if graph.is_out_channel_pruning_fn(dep.handler):
                writers[names[target.module]] = share
                if _writes_more(target.module, len(channels)):
                    reasons.append("a slice or pad in the forward pass ties it to other channels")
            if graph.is_in_channel_pruning_fn(dep.handler):
                readers[names[target.module]] = share
    return ChannelGroup(names[root], size, writers, readers, "; ".join(dict.fromkeys(reasons)))


def _is_output(graph: "torch_pruning.DependencyGraph", group: "torch_pruning.Group") -> bool:
    return any(
        dep.target.type == torch_pruning.ops.OPTYPE.OUTPUT
        or (graph.is_out_channel_pruning_fn(dep.handler) and not dep.target.outputs)
        for dep, _ in group
    )


def _writes_more(module: nn.Module, channels: int) -> bool:
    # NOTE: Torch-Pruning ignores the offset of slices and pads: a network pruned there still runs,
    # but adds up the wrong channels.
    if isinstance(module, nn.Conv2d):
        return module.out_channels > channels
    return isinstance(module, nn.Linear) and module.out_features > channels


def _refusals(module: nn.Module, name: str, channels: int, size: int) -> Iterator[str]:
    if isinstance(module, nn.Conv2d) and 1 < module.groups < module.out_channels:
        yield f"{name} is a grouped convolution"
    if isinstance(module, nn.GroupNorm | nn.MultiheadAttention):
        yield f"{name} ({type(module).__name__}) splits its channels"
    if channels % size:
        yield f"{name} has {channels} channels for {size} of the group, which is no multiple"


class _ChannelPadPruner(torch_pruning.BasePruningFunc):  # type: ignore[misc]
    """Prunes a ChannelPad for Torch-Pruning: its inputs and outputs are independent."""

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
