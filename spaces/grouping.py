"""Adds channel groups to a blueprint: which channels belong together, and which may be cut."""

from dataclasses import replace

import torch
from torch import nn

from .blueprint import ALL_GROUPS, Blueprint, LeftAlone
from .channels import find_groups
from .found_groups import FoundGroup, computes, with_groups
from .scales import analyse, scaled
from .tracing import on_meta, trace
from .trial_cut import unsound_groups


def trace_with_groups(
    network: nn.Module, images: torch.Tensor, *, scales: bool = True
) -> Blueprint:
    """The layers of a network and its channel groups: enough to foretell what plans do to it.

    A network that Torch-Pruning cannot follow, or groups that cannot be cut without breaking it,
    come back under `left_alone` with the reason.

    Args:
        network: with weights, or on the meta device.
        images: [batch, channels, height, width]; only the shape matters.
        scales: whether to find its landmarks and to look at it on smaller images too; a part
            of a network needs neither.

    Raises:
        ModelError: as `trace`.
    """
    bare, blank = on_meta(network), images.to("meta")
    plain = analyse(bare, blank) if scales else trace(bare, blank)
    if scales:
        plain = replace(plain, scaled=scaled(bare, blank, plain))
    try:
        found = find_groups(bare, blank)
    except Exception as error:
        # Torch-Pruning has no error of its own: a network that it cannot follow ends in anything.
        reason = f"Torch-Pruning cannot follow this network ({type(error).__name__}: {error})"
        whole = LeftAlone("channels", ALL_GROUPS, reason)
        return replace(plain, left_alone=(*plain.left_alone, whole))
    found = [_with_reason(plain, group) for group in found]
    free = [group for group in found if not group.reason]
    free.sort(key=lambda group: _first_position(plain, group))
    broken, changed = unsound_groups(network, images, plain, free)
    refused = [
        *((group, group.reason) for group in found if group.reason),
        *((group, "cutting it breaks the network") for group in broken),
        *((group, "the forward pass moves its channels") for group in changed),
    ]
    sound = [group for group in free if group not in broken and group not in changed]
    left_alone = tuple(LeftAlone("channels", group.name, reason) for group, reason in refused)
    return replace(with_groups(plain, sound), left_alone=(*plain.left_alone, *left_alone))


def _with_reason(plain: Blueprint, group: FoundGroup) -> FoundGroup:
    if group.reason or any(computes(layer, group.writers) for layer in plain.layers):
        return group
    return replace(group, reason="no convolution or linear layer writes it")


def _first_position(plain: Blueprint, group: FoundGroup) -> int:
    names = [layer.name for layer in plain.layers]
    return min(names.index(name) for name in group.writers if name in names)
