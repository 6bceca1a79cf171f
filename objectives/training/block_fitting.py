"""Fitting of replaced parts to the features of a teacher network, before the network is trained.

Blockwise distillation: Moons et al.: DONNA (2021), https://arxiv.org/abs/2012.08859; Molchanov et
al.: LANA (2021), https://arxiv.org/abs/2107.10624. A pruned part learns to reproduce the remaining
channels of the teacher, which compensates for the removed channels locally.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ...heartbeat import beat
from ...safe_convolutions import safe_convolutions
from ...spaces.graph.zero_masks import zero_masks
from .batchnorm import recalibrate_bn
from .changed_parts import ReplacedPart

_IMAGES = 512
_PIXELS = 128 * 64 * 64
"""Maximum total pixels: fewer images if they are large, so that features fit into memory."""
_FEWEST = 16


@dataclass(frozen=True)
class FitSchedule:
    """A schedule of Adam: number of steps, images per step, and initial learning rate."""

    steps: int
    batch: int
    rate: float


FIT_ISOLATED = FitSchedule(steps=100, batch=32, rate=1e-2)
"""For a part fitted alone to the teacher's features, once for all plans."""

FIT_IN_NETWORK = FitSchedule(steps=60, batch=64, rate=2e-2)
"""For a part that adapts to the outputs of the parts before it in the network."""


def subsample(calibration: Sequence[torch.Tensor]) -> torch.Tensor:
    """Select the images for fitting: [images, channels, h, w]."""
    height, width = calibration[0].shape[2:]
    many = min(_IMAGES, max(_FEWEST, _PIXELS // (height * width)))
    return torch.cat(list(calibration))[:many]


def teacher_features(
    teacher: nn.Module, part: ReplacedPart, images: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the teacher's input and output at a part, with the remaining channels."""
    reads, writes = features_at(teacher, part, images)
    if part.reads is not None:
        reads = reads[:, part.reads]
    if part.writes is not None:
        writes = writes[:, part.writes]
    return reads, writes


def shapes_match(part: nn.Module, inputs: torch.Tensor, wanted: torch.Tensor) -> bool:
    """Return whether a part maps inputs to outputs of the wanted shape."""
    try:
        with torch.no_grad():
            outputs = part.eval()(inputs[:2])
    except RuntimeError:  # torch's error for mismatched channels
        return False
    return isinstance(outputs, torch.Tensor) and outputs.shape == wanted[:2].shape


def fit(part: nn.Module, inputs: torch.Tensor, wanted: torch.Tensor, effort: FitSchedule) -> float:
    """Fit a part to map inputs to wanted outputs, in place; unchanged if the error does not drop.

    Args:
        part: the part to fit.
        inputs, wanted: [images, channels, h, w] each.
        effort: the schedule.

    Returns:
        The remaining squared error, as a share of the variance of the wanted outputs.
    """
    if not any(True for _ in part.parameters()):  # as where a block was removed
        return _error(part, inputs, wanted)
    begun = {name: tensor.clone() for name, tensor in part.state_dict().items()}
    before = _error(part, inputs, wanted)
    _train(part, inputs, wanted, effort)
    after = _error(part, inputs, wanted)
    if not after < before:
        part.load_state_dict(begun)
    with recalibrate_bn(part), torch.no_grad():
        part(inputs)
    return min(before, after)


def features_at(
    network: nn.Module, part: ReplacedPart, images: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a part's input and output in a run of the network in evaluation mode."""
    beat()
    seen = list[torch.Tensor]()

    def enter(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        seen.append(inputs[0].clone())  # the module may change it in place

    def leave(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
        seen.append(output.clone())
        raise _Enough

    training = network.training
    hooks = [
        network.get_submodule(part.modules[0]).register_forward_pre_hook(enter),
        network.get_submodule(part.modules[-1]).register_forward_hook(leave),
    ]
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


def _error(part: nn.Module, inputs: torch.Tensor, wanted: torch.Tensor) -> float:
    """Compute the error with batch statistics, as in training, without a change of the part."""
    beat()
    stored = {name: tensor.clone() for name, tensor in part.state_dict().items()}
    with torch.no_grad():
        missed = F.mse_loss(_learning(part)(inputs), wanted) / _scale(wanted)
    part.load_state_dict(stored)
    return float(missed.nan_to_num(torch.inf))


def _scale(wanted: torch.Tensor) -> torch.Tensor:
    return wanted.var().clamp_min(1e-12)


def _train(
    part: nn.Module, inputs: torch.Tensor, wanted: torch.Tensor, effort: FitSchedule
) -> None:
    """Minimize the squared error with Adam."""
    scale = _scale(wanted)
    optimizer = torch.optim.Adam(part.parameters(), lr=effort.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, effort.steps)
    _learning(part)
    with zero_masks(part), safe_convolutions(part):
        for step in range(effort.steps):
            beat()
            first = step * effort.batch % len(inputs)
            first = min(first, max(0, len(inputs) - 2))  # batch norm needs two images
            batch = slice(first, first + effort.batch)
            loss = F.mse_loss(part(inputs[batch]), wanted[batch]) / scale
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    optimizer.zero_grad(set_to_none=True)


def _learning(part: nn.Module) -> nn.Module:
    """Set batch norms to training mode, and dropout to evaluation mode, because it is random."""
    part.eval()
    for module in part.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()
    return part


class _Enough(Exception):
    """Ends a forward pass after the recorded part."""


__all__ = [
    "FIT_IN_NETWORK",
    "FIT_ISOLATED",
    "FitSchedule",
    "features_at",
    "fit",
    "shapes_match",
    "subsample",
    "teacher_features",
]
