"""NNI's quantization-aware training, which learns weights and scales together.

"nni-qat" tracks the ranges of activations while it trains (Jacob et al. 2018,
https://arxiv.org/abs/1712.05877); "nni-lsq" trains the scales by gradient descent (Esser et al.,
Learned Step Size Quantization, 2020, https://arxiv.org/abs/1902.08153).

Weights are symmetric with one scale per output channel; inputs have one scale per tensor. NNI's
evaluator is not needed: its wrappers hold the scales, so any training loop can be used.

Deviations from NNI: LSQ's scales start at 2 mean|v| / sqrt(highest level), as in the paper and in a
comment in NNI, instead of 0.01; and inputs have unsigned levels if calibration shows no negative
values, else signed levels including the lowest, as in the paper.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from ...errors import TrainingDiverged
from ...extras import require_extra
from .describing import QUANTIZERS
from .repairs import quiet_nni, register_types

_FLOAT_BITS = 32
_INPUT = "_input_0"


@dataclass(frozen=True)
class LearnedScales:
    """The learned scales of a layer; values are levels times the scale.

    Attributes:
        weight: [output channels]; a level is clamp(round(w / scale), -h, h), h = 2^(bits-1) - 1.
            None if the weights are not quantized.
        inputs: (scale, zero point); a level is clamp(round(x / scale) + zero point, 0, 2^bits - 1).
            None if the inputs are not quantized.
    """

    weight: torch.Tensor | None
    inputs: tuple[float, int] | None


@dataclass
class _Seen:
    """Calibration statistics of a layer's inputs: the minimum, and the sum of means of |x|."""

    lowest: float = 0.0
    means: float = 0.0
    batches: int = 0


def learned_quantization(
    network: nn.Module,
    layers: Mapping[str, tuple[int, int]],
    train: Callable[[nn.Module], None],
    quantizer: str,
    calibration: Sequence[torch.Tensor],
) -> dict[str, LearnedScales]:
    """Train a network with quantization; its unrounded weights are changed in place.

    Args:
        network: the network, whose parameters remain the same objects.
        layers: convolution or linear layer -> bits of its weights and inputs, 2 to 32; 32 means
            not quantized.
        train: trains the quantized copy that it receives, with its own optimizer.
        quantizer: a key of `QUANTIZERS`.
        calibration: batches of images, [batch, channels, height, width], on the network's device,
            for the initial ranges.

    Returns:
        Layer -> learned scales.

    Raises:
        InputError: NNI is not installed.
        ValueError: unknown quantizer, or no calibration images.
        TrainingDiverged: a learned scale is not a positive number.
    """
    if quantizer not in QUANTIZERS:
        raise ValueError(f"expected one of {', '.join(QUANTIZERS)}, got {quantizer!r}")
    if not calibration:
        raise ValueError(f"{quantizer} needs calibration images, got none")
    require_extra("nni", quantizer)
    layers = {name: bits for name, bits in layers.items() if min(bits) < _FLOAT_BITS}
    rounding = copy.deepcopy(network)
    with quiet_nni():
        created = _wrapped(rounding, layers, quantizer, calibration)
        train(rounding.train(network.training))
        scales = {name: _scales(created._target_spaces[name], name) for name in layers}
        created.unwrap_model()
    network.load_state_dict(rounding.state_dict())
    return scales


def _wrapped(
    network: nn.Module,
    layers: Mapping[str, tuple[int, int]],
    quantizer: str,
    calibration: Sequence[torch.Tensor],
) -> Any:
    """Create the quantizer, wrap the network's layers, and initialise the scales."""
    import nni.compression.quantization
    from nni.compression.base.setting import QuantizationSetting

    register_types(QuantizationSetting, network, layers)
    network.eval()
    seen = _observe(network, layers, calibration)
    learned = quantizer == "nni-lsq"
    config = [
        entry
        for name, bits in layers.items()
        for entry in _settings(name, *bits, learned, seen[name])
    ]
    created = getattr(nni.compression.quantization, QUANTIZERS[quantizer])(network, config, None)
    if learned:
        for name, spaces in created._target_spaces.items():
            _begin_scales(spaces, seen[name])
        created.is_init = True
    else:
        for wrapper in created._module_wrappers.values():
            wrapper.training = True  # ranges update in training mode only; batch norms must not
        _run(network, calibration)
    return created


def _settings(
    name: str, weight_bits: int, input_bits: int, learned: bool, seen: _Seen
) -> Iterator[dict[str, Any]]:
    """Yield NNI's configuration of a layer: one entry for weights and one for inputs."""
    signed = learned and seen.lowest < 0
    if weight_bits < _FLOAT_BITS:
        yield {
            "op_names": [name],
            "target_names": ["weight"],
            "quant_dtype": f"int{weight_bits}",
            "quant_scheme": "symmetric",
            "granularity": "out_channel",
        }
    if input_bits < _FLOAT_BITS:
        yield {
            "op_names": [name],
            "target_names": ["_input_"],
            "quant_dtype": f"{'int' if signed else 'uint'}{input_bits}",
            "quant_scheme": "symmetric" if learned else "affine",
        }


def _begin_scales(spaces: Mapping[str, Any], seen: _Seen) -> None:
    """Initialise LSQ's scales as in its paper."""
    if "weight" in spaces:
        space = spaces["weight"]
        mean = space._scaler.shrink(space.target.detach().abs(), keepdim=True)
        space.scale.data = (2 * mean / space.qmax**0.5).clamp_min(torch.finfo(torch.float32).eps)
        space.zero_point = torch.zeros_like(space.scale.data)
    if _INPUT in spaces:
        space = spaces[_INPUT]
        start = max(2 * seen.means / seen.batches / space.qmax**0.5, torch.finfo(torch.float32).eps)
        space.scale.data.fill_(start)
        space.zero_point = torch.zeros_like(space.scale.data)
        if space.qmin < 0:
            setattr(space._wrapper, space._qmin_name, space.qmin - 1)


def _scales(spaces: Mapping[str, Any], name: str) -> LearnedScales:
    """Convert the scales of a layer to the convention of `LearnedScales`."""
    weight, inputs = None, None
    if "weight" in spaces:
        # Levels are symmetric, so a negative scale represents the same values.
        weight = spaces["weight"].scale.detach().flatten().abs().clone()
        _check(weight, name)
    if _INPUT in spaces:
        space = spaces[_INPUT]
        scale = space.scale.detach().flatten()
        _check(scale, name)
        inputs = float(scale), round(float(space.zero_point)) - space.qmin
    return LearnedScales(weight, inputs)


def _check(scale: torch.Tensor, name: str) -> None:
    if not bool((scale.isfinite() & (scale > 0)).all()):
        raise TrainingDiverged(f"a learned scale of {name} is not a positive number")


def _observe(
    network: nn.Module, names: Mapping[str, object], calibration: Sequence[torch.Tensor]
) -> dict[str, _Seen]:
    seen = {name: _Seen() for name in names}
    hooks = [
        network.get_submodule(name).register_forward_pre_hook(partial(_record, seen[name]))
        for name in names
    ]
    _run(network, calibration)
    for hook in hooks:
        hook.remove()
    return seen


def _record(seen: _Seen, _: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
    x = inputs[0].float()
    seen.lowest = min(seen.lowest, float(x.min()))
    seen.means += float(x.abs().mean())
    seen.batches += 1


def _run(network: nn.Module, calibration: Sequence[torch.Tensor]) -> None:
    with torch.no_grad():
        for images in calibration:
            network(images)
