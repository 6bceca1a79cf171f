"""Verification of channel groups, by pruning a copy of the network.

Torch-Pruning supports calls such as slicing, padding and flipping only in part, without an error.
Pruning may then break the network, or leave one that runs but adds up the wrong channels.
"""

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn

from ..graph.blueprint import Blueprint, Layer
from ..graph.channel_rounding import kept_channels
from ..graph.tracing import on_meta, trace
from .dependencies import remove_channels, silence_channels
from .groups import ChannelGroup, with_groups

_TOLERANCE = 1e-3
"""Tolerance relative to the largest output: float32 sums over fewer channels round differently."""

_Cut = tuple[Mapping[str, int], Blueprint]


def unsound_groups(
    network: nn.Module, images: torch.Tensor, plain: Blueprint, groups: Sequence[ChannelGroup]
) -> tuple[list[ChannelGroup], list[ChannelGroup]]:
    """Find the groups whose pruning breaks a network, and those whose pruning changes its outputs.

    First, all groups are pruned to half on a copy on the meta device. If that fails or does not
    match the prediction, the two halves of the list are checked separately. Second, the pruned
    network must compute the same as the whole one with the same channels set to zero. This check
    needs weights, so it is skipped for networks on the meta device.

    Args:
        network: with weights, or on the meta device.
        images: [batch, channels, height, width]; only the shape matters.
        plain: the network's blueprint without groups.
        groups: the groups to verify.

    Returns:
        The groups that fail the first check, and those that fail the second.
    """
    bare, blank = on_meta(network), images.to("meta")
    broken = _guilty(groups, lambda some: _matches_prediction(bare, blank, plain, some))
    rest = [group for group in groups if group not in broken]
    if any(parameter.is_meta for parameter in network.parameters()):
        return broken, []
    numbered = _with_numbers(network)
    shown = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    changed = _guilty(rest, lambda some: _computes_the_same(numbered, shown, plain, some))
    return broken, changed


def _guilty(
    groups: Sequence[ChannelGroup], innocent: Callable[[Sequence[ChannelGroup]], bool]
) -> list[ChannelGroup]:
    """Find the groups that fail a check of several groups, by bisection."""
    if not groups or innocent(groups):
        return []
    if len(groups) == 1:
        return list(groups)
    middle = len(groups) // 2
    return [*_guilty(groups[:middle], innocent), *_guilty(groups[middle:], innocent)]


def _halved(plain: Blueprint, groups: Sequence[ChannelGroup]) -> _Cut | None:
    """Return root -> remaining channels after halving all groups, and the predicted blueprint."""
    whole = with_groups(plain, groups)
    sizes = {name: kept_channels(group.size, 0.5) for name, group in whole.groups.items()}
    if set(sizes) - set(whole.roots):
        return None
    return {whole.roots[name]: size for name, size in sizes.items()}, whole.resized(sizes)


def _matches_prediction(
    network: nn.Module, images: torch.Tensor, plain: Blueprint, groups: Sequence[ChannelGroup]
) -> bool:
    halved = _halved(plain, groups)
    if halved is None:
        return False
    keep, predicted = halved
    try:
        traced = trace(remove_channels(copy.deepcopy(network), images, keep, None), images)
    except Exception:
        # Torch-Pruning or the network may raise any exception, which means that the check fails.
        return False
    return [_counts(layer, {}) for layer in traced.layers] == [
        _counts(layer, predicted.sizes) for layer in predicted.layers
    ]


def _computes_the_same(
    network: nn.Module, images: torch.Tensor, plain: Blueprint, groups: Sequence[ChannelGroup]
) -> bool:
    halved = _halved(plain, groups)
    if halved is None:
        return False
    cut = remove_channels(copy.deepcopy(network), images, halved[0], None)
    silenced = silence_channels(copy.deepcopy(network), images, halved[0], None)
    with torch.no_grad():
        wanted, got = silenced(images), cut(images)
    return bool((wanted - got).abs().max() <= _TOLERANCE * wanted.abs().max())


def _with_numbers(network: nn.Module) -> nn.Module:
    """Copy a network with random weights: zeros and ones, as in batch norm, would hide errors."""
    network = copy.deepcopy(network).cpu().float().eval()
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=parameter[0].numel() ** -0.5, generator=random)
            else:
                parameter.uniform_(0.5, 1.5, generator=random)
    return network


def _counts(layer: Layer, sizes: Mapping[str, int]) -> tuple[str, int, int, int]:
    params = layer.weights(sizes) + layer.other_params(sizes)
    return layer.name, layer.reads.count(sizes), layer.writes.count(sizes), params
