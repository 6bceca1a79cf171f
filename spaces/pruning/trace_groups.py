"""Adds channel groups to a blueprint: which channels belong together, and which may be cut."""

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
    """The layers of a network and its channel groups: enough to predict what plans do to it.

    A network that Torch-Pruning cannot follow, or groups that cannot be cut without breaking it,
    come back under `skipped` with the reason.

    Args:
        network: with weights, or on the meta device.
        images: [batch, channels, height, width]; only the shape matters.
        part: whether it is a mere part of a network, whose landmarks nobody asks for.

    Raises:
        ModelError: as `trace`.
    """
    bare, blank = on_meta(network), images.to("meta")
    plain = trace(bare, blank) if part else _with_structure(bare, blank)
    try:
        groups = find_groups(bare, blank)
    except Exception as error:
        # Torch-Pruning has no error of its own: a network that it cannot follow ends in anything.
        reason = f"Torch-Pruning cannot follow this network ({type(error).__name__}: {error})"
        whole = Skipped("channels", ALL_GROUPS, reason)
        return replace(plain, skipped=(*plain.skipped, whole))
    groups = [_with_reason(plain, group) for group in groups]
    free = [group for group in groups if not group.reason]
    free.sort(key=lambda group: _first_position(plain, group))
    broken, changed = unsound_groups(network, images, plain, free)
    refused = [
        *((group, group.reason) for group in groups if group.reason),
        *((group, "cutting it breaks the network") for group in broken),
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
