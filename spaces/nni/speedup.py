"""NNI's ModelSpeedup with masks that never conflict, and taught about option A shortcuts."""

import logging
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any

import torch
from torch import nn

from ...safe_convolutions import safe_convolutions
from ..models.channel_pad import ChannelPad
from .repairs import own_randomness, repair_nni


def speed_up(
    network: nn.Module, tensors: Mapping[str, torch.Tensor], images: torch.Tensor
) -> nn.Module:
    """Remove masked channels with NNI's `ModelSpeedup`, in place.

    Args:
        network: the network to cut; it is left in evaluation mode.
        tensors: convolution or linear layer -> [output channels], 0 where a channel goes.
        images: [2, channels, height, width] on the network's device.

    Raises:
        Exception: whatever NNI raises on a network that it cannot follow.
    """
    repair_nni()
    from nni.common.concrete_trace_utils import concrete_trace
    from nni.compression.speedup import ModelSpeedup

    class Speedup(ModelSpeedup):  # type: ignore[misc]
        def fix_mask_conflict(self) -> None:
            """There are no conflicts to fix: channels that belong together share their mask.

            NNI's own tells the pruned dimension by counting, and errs where both lost as many.
            """

    learns = {name: p.requires_grad for name, p in network.named_parameters()}
    with torch.enable_grad(), own_randomness(network):  # it tells by random numbers what is dead
        # NNI also runs the network, and in training mode batch norms would learn from that.
        graph = concrete_trace(network.eval(), (images,), leaf_module=(ChannelPad,))
        masks = {name: _masks(network.get_submodule(name), mask) for name, mask in tensors.items()}
        for name, mask in _pad_masks(graph, tensors):
            masks[name] = {"_output_0": mask.to(images)}
        with safe_convolutions(network):  # it goes backward through each layer
            Speedup(
                network,
                images,
                masks,
                customized_replacers=[_pad_replacer()],
                graph_module=graph,
                logger=logging.getLogger("nni"),
            ).speedup_model()
    for name, parameter in network.named_parameters():
        parameter.grad = None
        parameter.requires_grad_(learns[name])
    return network


def _masks(layer: nn.Module, remaining: torch.Tensor) -> dict[str, torch.Tensor]:
    """NNI's masks of a layer that loses output channels, each of its parameter's shape."""
    masks = dict[str, torch.Tensor]()
    for name, parameter in layer.named_parameters():
        shape = (-1,) + (1,) * (parameter.ndim - 1)
        masks[name] = remaining.to(parameter).reshape(shape).expand_as(parameter).clone()
    return masks


def _pad_masks(
    graph: Any, tensors: Mapping[str, torch.Tensor]
) -> Iterator[tuple[str, torch.Tensor]]:
    """Each shortcut whose outputs are summed with pruned channels, and a mask [1, channels, 1, 1].

    The shortcut must lose what the other side of the sum loses.
    """
    for node in graph.graph.nodes:
        if _is_a(graph, node, ChannelPad):
            for other in next(iter(node.users)).all_input_nodes:
                name = _writer(graph, other) if other is not node else None
                if name is not None and name in tensors:
                    yield node.target, tensors[name].reshape(1, -1, 1, 1)


def _writer(graph: nn.Module, node: Any) -> str | None:
    """The convolution or linear layer upstream of a node, along a chain of single inputs."""
    while not _is_a(graph, node, nn.Conv2d | nn.Linear):
        if len(node.all_input_nodes) != 1:
            return None
        node = node.all_input_nodes[0]
    return str(node.target)


def _is_a(graph: nn.Module, node: Any, types: type | UnionType) -> bool:
    return node.op == "call_module" and isinstance(graph.get_submodule(node.target), types)


def _pad_replacer() -> Any:
    from nni.compression.speedup.replacer import Replacer

    class PadReplacer(Replacer):  # type: ignore[misc]
        """Cuts a ChannelPad to the channels of what it reads and of the sum that reads it."""

        def replace_modules(self, speedup: Any) -> None:
            for node, info in speedup.node_infos.items():
                if _is_a(speedup.graph_module, node, ChannelPad):
                    pad = speedup.bound_model.get_submodule(node.target)
                    source, total = node.args[0], next(iter(node.users))
                    pad.remove_inputs(_gone(speedup.node_infos[source].output_masks))
                    pad.remove_outputs(_gone(speedup.node_infos[total].output_masks))
                    info.replaced = True

    return PadReplacer()


def _gone(mask: torch.Tensor) -> list[int]:
    """The channels of a mask, [1, channels, height, width], that are 0 everywhere."""
    return [int(channel) for channel in (mask.sum((0, 2, 3)) == 0).nonzero().flatten()]
