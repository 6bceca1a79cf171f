"""New parts started from what they replace: fitted to its outputs on a few batches.

Each part learns what the old one made, as in blockwise distillation (Moons et al.: DONNA, 2021,
https://arxiv.org/abs/2012.08859), from what the parts in front of it give it by then, so that each
makes up for the errors of those before.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

_IMAGES = 128
_PIXELS = _IMAGES * 64 * 64
"""Of all images together: larger ones are fewer, so that their features fit into memory."""

_FEWEST, _BATCH = 16, 32
_STEPS = 40
_RATE = 1e-2


def fit(
    part: nn.Module,
    network: nn.Module,
    begin: str,
    teacher: nn.Module,
    end: str,
    calibration: Sequence[torch.Tensor],
) -> None:
    """Train a new part to compute what the old one did, in place.

    Args:
        part: with the old part's interface.
        network: where the old part still stands, behind new ones that are fitted already.
        begin: the module whose input the old part reads.
        teacher: the network before any part was replaced.
        end: the module whose output the old part writes.
        calibration: batches of normalised images, [batch, channels, h, w], on the same device.
    """
    images = torch.cat(list(calibration))[: _how_many(calibration[0].shape[2:])]
    inputs, _ = _seen(network, begin, images)
    _, wanted = _seen(teacher, end, images)
    begun = {name: tensor.clone() for name, tensor in part.state_dict().items()}
    before = _error(part, inputs, wanted)
    _train(part, inputs, wanted)
    if not _error(part, inputs, wanted) < before:
        part.load_state_dict(begun)


def _how_many(size: torch.Size) -> int:
    """How many images of that size to look at."""
    return min(_IMAGES, max(_FEWEST, _PIXELS // (size[0] * size[1])))


def _train(part: nn.Module, inputs: torch.Tensor, wanted: torch.Tensor) -> None:
    """Some steps of Adam on the squared error."""
    scale = wanted.var().clamp_min(1e-12)
    optimizer = torch.optim.Adam(part.parameters(), lr=_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    part.train()
    for step in range(_STEPS):
        first = step * _BATCH % len(inputs)
        batch = slice(first, first + _BATCH)
        loss = F.mse_loss(part(inputs[batch]), wanted[batch]) / scale
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    optimizer.zero_grad(set_to_none=True)


def _error(part: nn.Module, inputs: torch.Tensor, wanted: torch.Tensor) -> float:
    """As in training: batch norm takes its figures from the batch, and keeps none."""
    kept = {name: tensor.clone() for name, tensor in part.state_dict().items()}
    with torch.no_grad():
        error = float(F.mse_loss(part.train()(inputs), wanted))
    part.load_state_dict(kept)
    return error


class _Enough(Exception):
    """Ends a forward pass whose rest is of no interest."""


def _seen(network: nn.Module, name: str, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What a module reads and writes when the network runs in evaluation mode."""
    seen = list[torch.Tensor]()

    def enter(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        seen.append(inputs[0].clone())  # the module may write into it

    def leave(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
        seen.append(output.clone())
        raise _Enough

    module, training = network.get_submodule(name), network.training
    hooks = [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
    try:
        with torch.no_grad():
            network.eval()(images)
    except _Enough:
        pass
    finally:
        for hook in hooks:
            hook.remove()
        network.train(training)
    return seen[0], seen[1]
