"""What calibration images show of layers that are to be quantized."""

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
    """What one layer read and wrote.

    Attributes:
        reads, writes: the ranges of its inputs and outputs.
    """

    reads: Range = (math.inf, -math.inf)
    writes: Range = (math.inf, -math.inf)


def observe(
    network: nn.Module, names: Sequence[str], batches: Sequence[torch.Tensor]
) -> dict[str, ObservedRanges]:
    """Run a network and note the ranges of what some of its layers read and write.

    Args:
        network: is put in evaluation mode meanwhile.
        names: of the layers; all must run.
        batches: [batch, channels, height, width], normalised.

    Raises:
        ValueError: there are layers to watch and no images.
        TrainingDiverged: the network computes infinite numbers, or none.
    """
    if not names:
        return {}
    if not batches:
        raise ValueError("quantizing activations needs calibration images, got none")
    seen = {name: ObservedRanges() for name in names}

    def note(name: str, x: torch.Tensor, out: torch.Tensor) -> None:
        seen[name].reads = _widened(seen[name].reads, x)
        seen[name].writes = _widened(seen[name].writes, out)

    _watch_layers(network, names, batches, note)
    for name, ranges in seen.items():
        if not all(math.isfinite(bound) for bound in (*ranges.reads, *ranges.writes)):
            raise TrainingDiverged(f"what {name} reads or writes is no finite number")
    return seen


def correct_biases(
    network: nn.Module, rounded: Mapping[str, torch.Tensor], batches: Sequence[torch.Tensor]
) -> None:
    """Shift biases by what rounding weights shifts a layer's outputs by on average, in place.

    Nagel et al.: Data-Free Quantization (2019), https://arxiv.org/abs/1906.04721, section 4.2,
    with images in place of batch norm's statistics. Layers without a bias are left as they are.

    Args:
        network: with its weights as they were.
        rounded: layer -> its weights after rounding.
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
    """Run a network as it answers, and tell of each layer what it reads and writes."""

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
    """The mean of each output channel, [out], if these were the weights and there was no bias."""
    if isinstance(module, nn.Conv2d):
        images: torch.Tensor = module._conv_forward(x, weight, None)
        return images.mean((0, 2, 3))
    return nn.functional.linear(x, weight).flatten(0, -2).mean(0)


def written_apart(flow: Flow, names: Container[str]) -> set[str]:
    """The layers whose output something else than an activation or the next layer reads.

    A runtime joins a layer with the activation behind it and rounds what comes out of both. Where
    a sum or a concatenation reads the layer, what it writes has to be rounded by itself, or the
    layer runs in floating point.
    """
    return {call.name for call in flow.calls if call.name in names and _is_apart(flow, call.writes)}


def read_together(flow: Flow, names: Container[str]) -> dict[str, list[str]]:
    """Module -> the layers inside that read its input, where a sum or the like reads it as well.

    So is a residual block's input. If the block rounds it once for all, the sum is one of integers.
    """
    results, taken = dict[str, list[str]](), set[int]()
    for call in flow.calls:  # the innermost end first
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
    if math.isnan(low):  # which `min` would pass over, and which stays once it is there
        return math.nan, math.nan
    return min(seen[0], low), max(seen[1], high)
