"""Shrinking of channel groups, for the techniques `width`, `trunk` and `prune`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...lazy_imports import nn, torch
from ..graph.blueprint import Blueprint
from ..graph.channel_rounding import WIDEST_MULTIPLE, kept_channels

if TYPE_CHECKING:
    from .dependencies import Importance


def stages_with_groups(blueprint: Blueprint) -> Sequence[str]:
    """Return the stages with channel groups, from input to output."""
    staged = {group.stage for group in blueprint.groups.values()}
    return tuple(stage for stage in blueprint.stages if stage in staged)


def shrunk(
    blueprint: Blueprint, keep: Mapping[str, float], multiple: int = WIDEST_MULTIPLE
) -> Blueprint:
    """Return the blueprint with smaller groups in some stages.

    Args:
        blueprint: the network.
        keep: stage -> the share of remaining channels, 0 to 1.
        multiple: as in `kept_channels`.
    """
    return blueprint.resized(
        {
            name: kept_channels(group.size, keep[group.stage], multiple)
            for name, group in blueprint.groups.items()
            if group.stage in keep
        }
    )


def cut(
    network: nn.Module,
    images: torch.Tensor,
    before: Blueprint,
    after: Blueprint,
    importance: Importance | None,
    left: dict[str, torch.Tensor] | None = None,
) -> nn.Module:
    """Prune a network from blueprint `before` to blueprint `after`, in place.

    Args:
        network: the network to prune.
        images: [2, channels, height, width]; only the shape matters.
        before, after: blueprints whose channel groups differ only in size.
        importance: as in `remove_channels`.
        left: if given, updated with the remaining channels of each pruned group:
            group -> indices in the unpruned network, [remaining].
    """
    names = {
        before.roots[name]: name for name, size in after.sizes.items() if size != before.sizes[name]
    }
    if not names:
        return network
    from .dependencies import remove_channels

    keep, went = {root: after.sizes[name] for root, name in names.items()}, dict[str, list[int]]()
    network = remove_channels(network, images, keep, importance, went)
    if left is None:
        return network
    for root, gone in went.items():
        name = names[root]
        numbers = left.get(name, torch.arange(before.sizes[name]))
        stays = torch.ones(len(numbers), dtype=torch.bool)
        stays[gone] = False
        left[name] = numbers[stays]
    return network
