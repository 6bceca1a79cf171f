"""Calibration: ranges of activations, bias correction, and where activations are rounded."""

import math
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ...errors import TrainingDiverged
from ..graph.dataflow import Flow
from ..graph.submodules import is_inside
from .layers import Range

_FUSED = frozenset(f"aten::{op}" for op in ("relu", "relu_", "hardtanh", "hardtanh_"))
_LAYERS = frozenset(f"aten::{op}" for op in ("convolution", "addmm", "mm"))


@dataclass
class ObservedRanges:
    """The ranges of a layer's inputs (`reads`) and outputs (`writes`)."""

    reads: Range = (math.inf, -math.inf)
    writes: Range = (math.inf, -math.inf)


def observe(
    network: nn.Module, names: Sequence[str], batches: Sequence[torch.Tensor]
) -> dict[str, ObservedRanges]:
    """Run a network and record the ranges of the inputs and outputs of some layers.

    Args:
        network: the network; runs in evaluation mode.
        names: the layers to observe; all must run.
        batches: [batch, channels, height, width], normalised.

    Raises:
        ValueError: there are layers but no images.
        TrainingDiverged: activations are infinite or NaN.
    """
    if not names:
        return {}
    if not batches:
        raise ValueError("expected calibration images to quantize activations, got none")
    seen = {name: ObservedRanges() for name in names}

    def note(name: str, x: torch.Tensor, out: torch.Tensor) -> None:
        seen[name].reads = _widened(seen[name].reads, x)
        seen[name].writes = _widened(seen[name].writes, out)

    _watch_layers(network, names, batches, note)
    for name, ranges in seen.items():
        if not all(math.isfinite(bound) for bound in (*ranges.reads, *ranges.writes)):
            raise TrainingDiverged(f"the input or output of {name} is not finite")
    return seen


def correct_biases(
    network: nn.Module, rounded: Mapping[str, torch.Tensor], batches: Sequence[torch.Tensor]
) -> None:
    """Correct biases for the mean shift of the outputs by weight rounding, in place.

    Nagel et al.: Data-Free Quantization (2019), https://arxiv.org/abs/1906.04721, section 4.2.
    Deviation: means are computed on images instead of from batch norm's statistics. Layers without
    a bias do not change.

    Args:
        network: the network with unrounded weights.
        rounded: layer -> its rounded weights.
        batches: [batch, channels, height, width], normalised.
    """
    layers = {
        name: module
        for name in rounded
        if isinstance(module := network.get_submodule(name), nn.Conv2d | nn.Linear)
        and module.bias is not None
    }
    errors = {name: rounded[name] - layer.weight.detach() for name, layer in layers.items()}
    shifts = {name: torch.zeros(len(error), device=error.device) for name, error in errors.items()}

    def note(name: str, x: torch.Tensor, out: torch.Tensor) -> None:
        shifts[name] += _channel_means(layers[name], x.float(), errors[name]) / len(batches)

    _watch_layers(network, list(layers), batches, note)
    with torch.no_grad():
        for name, shift in shifts.items():
            layers[name].get_parameter("bias").sub_(shift)


def _watch_layers(
    network: nn.Module,
    names: Sequence[str],
    batches: Sequence[torch.Tensor],
    note: Callable[[str, torch.Tensor, torch.Tensor], None],
) -> None:
    """Run a network in evaluation mode and call `note(layer, input, output)` for each layer."""

    def hook(name: str) -> Callable[..., None]:
        def record(_: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            note(name, inputs[0], output)

        return record

    hooks = [network.get_submodule(name).register_forward_hook(hook(name)) for name in names]
    training = network.training
    try:
        with torch.no_grad():
            for batch in batches:
                network.eval()(batch)
    finally:
        network.train(training)
        for handle in hooks:
            handle.remove()


def _channel_means(
    module: nn.Conv2d | nn.Linear, x: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Compute the mean of each output channel, [out], with other weights and without bias."""
    if isinstance(module, nn.Conv2d):
        images: torch.Tensor = module._conv_forward(x, weight, None)
        return images.mean((0, 2, 3))
    return nn.functional.linear(x, weight).flatten(0, -2).mean(0)


def written_apart(flow: Flow, names: Container[str]) -> set[str]:
    """Return the layers whose output is read by anything but an activation or another layer.

    Runtimes fuse a layer with the following activation and round the result. Where a sum or a
    concatenation reads the layer, its output must be rounded separately, or the layer runs in
    floating point.
    """
    return {call.name for call in flow.calls if call.name in names and _is_apart(flow, call.writes)}


def read_together(flow: Flow, names: Container[str]) -> dict[str, list[str]]:
    """Map modules to the layers inside that read the module's input, if an operator reads it too.

    An example is the input of a residual block with an identity shortcut. If the block rounds its
    input once, the residual sum is a sum of integers.
    """
    results, taken = dict[str, list[str]](), set[int]()
    for call in flow.calls:  # inner modules end first
        layers = [
            reader.name
            for reader in flow.calls
            if reader.reads == call.reads and reader.name in names
        ]
        if not layers or not call.name or call.name in names or call.reads in taken:
            continue
        readers = flow.readers(call.reads)
        inside = all(is_inside(event.module, call.name) for event in readers)
        if inside and any(event.op not in _LAYERS for event in readers):
            results[call.name] = layers
            taken.add(call.reads)
    return results


def _is_apart(flow: Flow, value: int) -> bool:
    readers = [event.op for event in flow.readers(value)]
    joined = len(readers) == 1 and readers[0] in _FUSED
    return not joined and any(op not in _LAYERS for op in readers)


def _widened(seen: Range, values: torch.Tensor) -> Range:
    low, high = (bound.item() for bound in values.detach().float().aminmax())
    if math.isnan(low):  # `min` would ignore NaN; once NaN, a range stays NaN
        return math.nan, math.nan
    return min(seen[0], low), max(seen[1], high)
