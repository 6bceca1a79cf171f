"""Tracing of a network with its channel groups."""

from dataclasses import replace

import torch
from torch import nn

from ..graph.blueprint import ALL_GROUPS, Blueprint, Skipped
from ..graph.input_sizes import analyse, scaled
from ..graph.tracing import on_meta, trace
from .dependencies import find_groups
from .groups import ChannelGroup, computes, with_groups
from .verify_groups import unsound_groups
from .verify_head import verified_head


def trace_with_groups(network: nn.Module, images: torch.Tensor, *, part: bool = False) -> Blueprint:
    """Trace a network's layers, structure and channel groups: all that plans are predicted from.

    Groups that cannot be pruned without breaking the network are listed in `skipped`, with reasons;
    so are all groups, as one entry, of a network that Torch-Pruning does not support.

    Args:
        network: with weights, or on the meta device.
        images: [batch, channels, height, width]; only the shape matters.
        part: whether it is a part of a network, which needs no structure.

    Raises:
        ModelError: as `trace`.
    """
    bare, blank = on_meta(network), images.to("meta")
    plain = trace(bare, blank) if part else _with_structure(bare, blank)
    try:
        groups = find_groups(bare, blank)
    except Exception as error:
        # Torch-Pruning raises any type of exception on networks that it does not support.
        reason = f"Torch-Pruning does not support this network ({type(error).__name__}: {error})"
        whole = Skipped("channels", ALL_GROUPS, reason)
        return replace(plain, skipped=(*plain.skipped, whole))
    groups = [_with_reason(plain, group) for group in groups]
    free = [group for group in groups if not group.reason]
    free.sort(key=lambda group: _first_position(plain, group))
    broken, changed = unsound_groups(network, images, plain, free)
    refused = [
        *((group, group.reason) for group in groups if group.reason),
        *((group, "the network fails when it is pruned") for group in broken),
        *((group, "the forward pass moves its channels") for group in changed),
    ]
    sound = [group for group in free if group not in broken and group not in changed]
    skipped = tuple(Skipped("channels", group.name, reason) for group, reason in refused)
    return replace(with_groups(plain, sound), skipped=(*plain.skipped, *skipped))


def _with_structure(bare: nn.Module, blank: torch.Tensor) -> Blueprint:
    plain = analyse(bare, blank)
    if plain.structure.classifier_head is not None:
        head = verified_head(bare, blank, plain.structure.classifier_head)
        plain = replace(plain, structure=replace(plain.structure, classifier_head=head))
    return replace(plain, scaled=scaled(bare, blank, plain))


def _with_reason(plain: Blueprint, group: ChannelGroup) -> ChannelGroup:
    if group.reason or any(computes(layer, group.writers) for layer in plain.layers):
        return group
    return replace(group, reason="no convolution or linear layer writes it")


def _first_position(plain: Blueprint, group: ChannelGroup) -> int:
    names = [layer.name for layer in plain.layers]
    return min(names.index(name) for name in group.writers if name in names)
