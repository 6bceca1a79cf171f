"""Channel pruning with NNI's pruners, for given numbers of channels.

The pruner runs on a copy of the network to obtain masks. The masked channels are then removed by
NNI's `ModelSpeedup` if its result matches the prediction, otherwise by Torch-Pruning's graph.
Both remove the same channels.
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
    """Prune a network from blueprint `before` to blueprint `after`.

    Args:
        network: the network, which may be changed in place; use the returned one.
        before: the network's blueprint.
        after: the blueprint with smaller groups.
        pruner: a key of `PRUNERS`.
        images: [2, channels, height, width] on the network's device.
        examples: batches for "nni-taylor" and "nni-slim", one step each.

    Raises:
        InputError: NNI is not installed.
        ValueError: unknown pruner, or no examples for a pruner that needs them.
    """
    if pruner not in PRUNERS:
        raise ValueError(f"expected one of {', '.join(PRUNERS)}, got {pruner!r}")
    if PRUNERS[pruner].trains and not examples:
        raise ValueError(f"{pruner} needs training examples, got none")
    require_extra("nni", pruner)
    keep = {name: size for name, size in after.sizes.items() if size != before.sizes[name]}
    if not keep:
        return network
    roots = {before.roots[name]: size for name, size in keep.items()}
    if images.is_meta:  # no weights; for shapes, any channels will do
        return remove_channels(network, images, roots, None)
    with quiet_nni():
        tensors = chosen_channels(network, before, keep, pruner, examples)
        small = _sped_up(network, before, after, tensors, images)
    if small is not None:
        logger.info("%s: channels were removed by NNI's ModelSpeedup", pruner)
        return small.train(network.training)
    logger.info("%s: channels selected by NNI were removed by Torch-Pruning", pruner)
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
    """Select channels with NNI: group -> mask [size], 1 for remaining channels and 0 for others.

    Args:
        network: not changed.
        before: the network's blueprint.
        keep: group -> number of remaining channels.
        pruner: a key of `PRUNERS`.
        examples: training batches.
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
            # NNI rounds down, so add half a channel.
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
    """Return the layers of a group that the pruner scores: batch norms or writers."""
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
    """Create NNI's evaluator: one step per batch at learning rate 0, so that weights stay."""
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
    """Prune a copy with NNI's ModelSpeedup; None if that fails or differs from the prediction."""
    channels = {name: mask for group, mask in tensors.items() for name in _writers(before, group)}
    try:
        small = speed_up(copy.deepcopy(network), channels, images)
        blueprint = trace(small, images)
    except Exception as error:
        # NNI raises any type of exception on networks that it does not support.
        logger.info("NNI's ModelSpeedup failed: %s: %s", type(error).__name__, error)
        return None
    return small if _figures(blueprint) == _figures(after) else None


def _figures(blueprint: Blueprint) -> list[tuple[str, int, int]]:
    sizes = blueprint.sizes
    return [
        (layer.name, layer.weights(sizes), layer.other_params(sizes)) for layer in blueprint.layers
    ]
