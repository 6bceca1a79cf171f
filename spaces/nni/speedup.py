"""NNI's ModelSpeedup, extended to option A shortcuts and without its resolution of conflicts."""

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
        network: the network to prune; set to evaluation mode.
        tensors: convolution or linear layer -> mask [output channels], 0 for removed channels.
        images: [2, channels, height, width] on the network's device.

    Raises:
        Exception: any exception, if NNI does not support the network.
    """
    repair_nni()
    from nni.common.concrete_trace_utils import concrete_trace
    from nni.compression.speedup import ModelSpeedup

    class Speedup(ModelSpeedup):  # type: ignore[misc]
        def fix_mask_conflict(self) -> None:
            """Do nothing: layers of a channel group share their mask, so there are no conflicts.

            NNI's method infers the pruned dimension from counts, which is ambiguous if both
            dimensions lose the same number.
            """

    learns = {name: p.requires_grad for name, p in network.named_parameters()}
    # Seeded, because NNI detects dead channels with random inputs.
    with torch.enable_grad(), own_randomness(network):
        # NNI also runs the network; in training mode, that would change batch norm statistics.
        graph = concrete_trace(network.eval(), (images,), leaf_module=(ChannelPad,))
        masks = {name: _masks(network.get_submodule(name), mask) for name, mask in tensors.items()}
        for name, mask in _pad_masks(graph, tensors):
            masks[name] = {"_output_0": mask.to(images)}
        with safe_convolutions(network):  # NNI runs a backward pass per layer
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
    """Expand a mask of output channels to NNI's masks, with the shapes of the parameters."""
    masks = dict[str, torch.Tensor]()
    for name, parameter in layer.named_parameters():
        shape = (-1,) + (1,) * (parameter.ndim - 1)
        masks[name] = remaining.to(parameter).reshape(shape).expand_as(parameter).clone()
    return masks


def _pad_masks(
    graph: Any, tensors: Mapping[str, torch.Tensor]
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the shortcuts that are added to pruned channels, with masks [1, channels, 1, 1].

    A shortcut must lose the same channels as the other operand of the sum.
    """
    for node in graph.graph.nodes:
        if _is_a(graph, node, ChannelPad):
            for other in next(iter(node.users)).all_input_nodes:
                name = _writer(graph, other) if other is not node else None
                if name is not None and name in tensors:
                    yield node.target, tensors[name].reshape(1, -1, 1, 1)


def _writer(graph: nn.Module, node: Any) -> str | None:
    """Return the convolution or linear layer before a node, along nodes with a single input."""
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
        """Prunes a ChannelPad according to the masks of its input and of the sum behind it."""

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
    """Return the channels of a mask, [1, channels, height, width], that are 0 everywhere."""
    return [int(channel) for channel in (mask.sum((0, 2, 3)) == 0).nonzero().flatten()]
