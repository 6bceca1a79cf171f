"""NNI's pruners: which channels of a group go, when how many is settled already.

The pruner works on a copy of the network and its masks are read off; the channels are then
removed for real, by NNI's `ModelSpeedup` where that makes exactly what was predicted, else by
Torch-Pruning's graph. Either way the same channels go.
"""

import copy
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...extras import require_extra
from ...heartbeat import beat
from ...safe_convolutions import safe_convolutions
from ..graph.blueprint import Blueprint
from ..graph.tracing import trace
from ..pruning.dependencies import remove_channels
from .describing import PRUNERS, Pruner
from .repairs import own_randomness, quiet_nni, register_types
from .speedup import speed_up

logger = logging.getLogger(__name__)

Example = tuple[torch.Tensor, torch.Tensor]
"""Images, [batch, channels, height, width], normalised, and their labels, [batch]."""


def prune(
    network: nn.Module,
    before: Blueprint,
    after: Blueprint,
    pruner: str,
    images: torch.Tensor,
    examples: Sequence[Example],
) -> nn.Module:
    """A network of blueprint `after` made of one of blueprint `before`.

    Args:
        network: changed in place, or left for good: go on with what is returned.
        before: what the network is.
        after: the same with smaller groups.
        pruner: a name in `PRUNERS`.
        images: [2, channels, height, width] on the network's device.
        examples: batches that "nni-taylor" and "nni-slim" learn from, a step each.

    Raises:
        InputError: NNI is not installed.
        ValueError: no such pruner, or no examples for one that learns.
    """
    if pruner not in PRUNERS:
        raise ValueError(f"expected one of {', '.join(PRUNERS)}, got {pruner!r}")
    if PRUNERS[pruner].trains and not examples:
        raise ValueError(f"{pruner} learns from examples, got none")
    require_extra("nni", pruner)
    keep = {name: size for name, size in after.sizes.items() if size != before.sizes[name]}
    if not keep:
        return network
    roots = {before.roots[name]: size for name, size in keep.items()}
    if images.is_meta:  # no weights to choose by, and for the cost any channels will do
        return remove_channels(network, images, roots, None)
    with quiet_nni():
        tensors = chosen_channels(network, before, keep, pruner, examples)
        small = _sped_up(network, before, after, tensors, images)
    if small is not None:
        logger.info("%s: NNI's ModelSpeedup removed the channels", pruner)
        return small.train(network.training)
    logger.info("%s: Torch-Pruning's graph removed the channels that NNI chose", pruner)
    of_root = {network.get_submodule(before.roots[name]): mask for name, mask in tensors.items()}
    return remove_channels(
        network, images, roots, lambda group: of_root[group[0].dep.target.module]
    )


def chosen_channels(
    network: nn.Module,
    before: Blueprint,
    keep: Mapping[str, int],
    pruner: str,
    examples: Sequence[Example],
) -> dict[str, torch.Tensor]:
    """Which channels NNI keeps: group -> [size], 1 where a channel stays and 0 elsewhere.

    Args:
        network: is left as it was.
        before: its blueprint.
        keep: group -> how many of its channels stay.
        pruner: a name in `PRUNERS`.
        examples: batches to learn from.
    """
    import nni.compression.pruning
    from nni.compression.base.setting import PruningSetting

    chosen = PRUNERS[pruner]
    scratch = copy.deepcopy(network).eval()
    members = {group: _members(scratch, before, group, chosen) for group in keep}
    register_types(PruningSetting, scratch, itertools.chain.from_iterable(members.values()))
    config = [
        {
            "op_names": list(members[group]),
            # NNI rounds down; half a channel more makes that exact.
            "sparse_ratio": (before.sizes[group] - size + 0.5) / before.sizes[group],
            "dependency_group_id": group,
        }
        for group, size in keep.items()
    ]
    created: Callable[..., Any] = getattr(nni.compression.pruning, chosen.class_name)
    learning = (_evaluator(scratch, examples), len(examples)) if chosen.trains else ()
    with torch.enable_grad(), own_randomness(network), safe_convolutions(network):
        _, masks = created(scratch, config, *learning).compress()
    return {
        group: masks[names[0]]["weight"].reshape(before.sizes[group], -1)[:, 0].cpu()
        for group, names in members.items()
    }


def _members(network: nn.Module, before: Blueprint, group: str, pruner: Pruner) -> tuple[str, ...]:
    """The layers of a group that the pruner looks at: batch norms if it can, else writers."""
    own = [layer for layer in before.layers if layer.writes.is_group(group)]
    norms = tuple(
        layer.name for layer in own if isinstance(network.get_submodule(layer.name), _BatchNorm)
    )
    return norms if pruner.scales_norms and norms else _writers(before, group)


def _writers(before: Blueprint, group: str) -> tuple[str, ...]:
    root = before.layer(before.roots[group])
    return tuple(
        layer.name
        for layer in before.layers
        if layer.op is root.op and layer.split == 1 and layer.writes.is_group(group)
    )


def _evaluator(network: nn.Module, examples: Sequence[Example]) -> Any:
    """What NNI trains with: one step per example, in which nothing but its own scales move."""
    import nni
    from nni.compression import TorchEvaluator

    def step(batch: Example, model: nn.Module) -> torch.Tensor:
        return F.cross_entropy(model(batch[0]), batch[1])

    def train(model: nn.Module, optimizer: Any, training_step: Any, *_: object) -> None:
        for batch in examples:
            beat()
            optimizer.zero_grad()
            training_step(batch, model).backward()
            optimizer.step()

    return TorchEvaluator(train, nni.trace(torch.optim.SGD)(network.parameters(), lr=0.0), step)


def _sped_up(
    network: nn.Module,
    before: Blueprint,
    after: Blueprint,
    tensors: Mapping[str, torch.Tensor],
    images: torch.Tensor,
) -> nn.Module | None:
    """A copy that NNI's ModelSpeedup made small; None where it is not what was predicted."""
    channels = {name: mask for group, mask in tensors.items() for name in _writers(before, group)}
    try:
        small = speed_up(copy.deepcopy(network), channels, images)
        blueprint = trace(small, images)
    except Exception as error:
        # NNI has no error of its own: a network that it cannot follow ends in anything.
        logger.info("NNI's ModelSpeedup fails: %s: %s", type(error).__name__, error)
        return None
    return small if _figures(blueprint) == _figures(after) else None


def _figures(blueprint: Blueprint) -> list[tuple[str, int, int]]:
    sizes = blueprint.sizes
    return [
        (layer.name, layer.weights(sizes), layer.other_params(sizes)) for layer in blueprint.layers
    ]
