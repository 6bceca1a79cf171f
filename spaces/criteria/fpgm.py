"""FPGM: pruning of channels that are the most redundant, not the smallest.

He et al.: Filter Pruning via Geometric Median (2019), https://arxiv.org/abs/1811.00250.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy_imports import nn, torch, torch_pruning
from ..technique import ApplyContext, TechniqueInfo
from .criterion import Ranking

if TYPE_CHECKING:
    from ..pruning.dependencies import Importance


class Fpgm(Ranking):
    """The sum of distances to the other channels, smallest near the geometric median."""

    info = TechniqueInfo(
        name="fpgm",
        title="nearest to the geometric median of the channels",
        replaces="nothing",
        saves="nothing",
        paper="FPGM, He et al. 2019",
        link="https://arxiv.org/abs/1811.00250",
    )

    def importance(self, network: nn.Module, context: ApplyContext) -> Importance:
        return torch.no_grad()(_distances)


def _distances(group: torch_pruning.Group) -> torch.Tensor | None:
    """Sum the Euclidean distances to the group's other channels, over all convolutions and linear
    layers that lose the channel.

    NOTE: FPGMImportance of Torch-Pruning 1.6 uses absolute weights, for which a filter equals its
    negative, and distances between single inputs behind a flattened image: gigabytes for a VGG.
    """
    size = len(group[0].idxs)
    scores = None
    for number, (dep, channels) in enumerate(group):
        weight, roots = _by_channel(dep), group[number].root_idxs
        if weight is None or None in roots or len(channels) % size:
            continue
        in_order = [channel for _, channel in sorted(zip(roots, channels, strict=True))]
        vectors = weight[in_order].reshape(size, -1)
        summed = torch.cdist(vectors, vectors).sum(1)
        scores = summed if scores is None else scores + summed
    return scores


def _by_channel(dep: torch_pruning.Dependency) -> torch.Tensor | None:
    """Return the weight that a dependency prunes, pruned dimension first: [channels, ...]."""
    module, cut = dep.target.module, dep.handler
    if not isinstance(module, nn.Conv2d | nn.Linear):
        return None
    if cut in (torch_pruning.prune_conv_out_channels, torch_pruning.prune_linear_out_channels):
        return module.weight
    if cut in (torch_pruning.prune_conv_in_channels, torch_pruning.prune_linear_in_channels):
        return module.weight.transpose(0, 1)
    return None
