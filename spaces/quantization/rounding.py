"""Rounding to the levels of integer types and float16, with straight-through gradients.

Weights are symmetric with one scale per output channel, activations asymmetric with one scale per
tensor, and the step of a bias is the product of the steps of input and weight, as in Jacob et al.:
Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference (2018),
https://arxiv.org/abs/1712.05877. The gradient is that of Bengio et al.: Estimating or Propagating
Gradients Through Stochastic Neurons (2013), https://arxiv.org/abs/1308.3432.
"""

import torch

SMALLEST_SCALE = 1e-8
LARGEST_PAIR = 128
"""The largest sum of the levels of two 8-bit weights of one output channel and one sign.

NOTE: x86 processors without VNNI multiply unsigned activations by signed weights in pairs and add
the two products in 16 bits, which saturate (vpmaddubsw). Activations reach 255, and 255 * 128 is
the last multiple that fits: with larger pairs, outputs differ between processors. The runtime
chooses which weights form a pair, so any two must fit. See
https://uxlfoundation.github.io/oneDNN/dev_guide_int8_computations.html and onnxruntime#14642.
"""
_LARGEST_SUM = 2**31 - 128
"""The largest int32 that float32 represents exactly."""
_FEWEST_THAT_REACH = 4
_CLIPS = tuple(1 - 0.05 * step for step in range(13))
"""Clipping thresholds tried with few bits, as shares of the largest weight."""


def highest_level(bits: int) -> int:
    """Return the largest level of a symmetric integer type: 127 for 8 bits."""
    return int(2 ** (bits - 1)) - 1


def weight_scales(weight: torch.Tensor, bits: int) -> torch.Tensor:
    """Compute the step between levels for each output channel, [out].

    The levels cover the largest weight. With 2 and 3 bits, where most weights would become zero,
    weights are clipped at the threshold with the least squared error: Choukroun et al.: Low-bit
    Quantization of Neural Networks for Efficient Inference (2019),
    https://arxiv.org/abs/1902.06822. With 4 bits clipping costs accuracy: see docs/quantization.md.

    Args:
        weight: [out, ...].
        bits: 8 or fewer.
    """
    largest = weight.detach().abs().flatten(1).amax(1)
    reach = (largest / highest_level(bits)).clamp(min=SMALLEST_SCALE)
    if bits >= _FEWEST_THAT_REACH:
        return reach
    best, least = reach, torch.full_like(reach, torch.inf)
    for clip in _CLIPS:
        scales = (reach * clip).clamp(min=SMALLEST_SCALE)
        error = (rounded_integers(weight.detach(), scales, bits) - weight.detach()).square()
        error = error.flatten(1).sum(1)
        best, least = torch.where(error < least, scales, best), torch.minimum(error, least)
    return best


def rounded_integers(weight: torch.Tensor, scales: torch.Tensor, bits: int) -> torch.Tensor:
    """Round weights, [out, ...], to the levels of a symmetric integer type."""
    if weight.is_meta:  # the fake-quantize operator has no meta kernel
        return weight.float()
    highest, zeros = highest_level(bits), torch.zeros_like(scales, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(
        weight.float(), scales, zeros, 0, -highest, highest
    )


def paired_scales(weight: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """Widen the steps of 8-bit weights, [out], where two levels exceed `LARGEST_PAIR`.

    The step of a channel does not change if its two largest levels of each sign add up to
    `LARGEST_PAIR` or less, or if it has a single weight.

    Args:
        weight: [out, ...].
        scales: [out], positive.
    """
    largest = _two_largest(weight.detach().float())
    if largest is None:
        return scales
    levels = (largest / scales.view(-1, 1)).round().sum(-1)
    needed = (largest.sum(-1) / LARGEST_PAIR).clamp(min=SMALLEST_SCALE)
    return torch.where(levels > LARGEST_PAIR, torch.maximum(needed, scales), scales).amax(0)


def within_pairs(weight: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """Clamp 8-bit weights, [out, ...], so that no two levels exceed `LARGEST_PAIR`.

    This holds even after training has changed weights or steps. For each sign, a channel's largest
    weight is clamped to what the second largest leaves, but not below half of `LARGEST_PAIR`.
    Gradients are zero where weights are clamped.

    Args:
        weight: [out, ...].
        scales: [out], positive.
    """
    largest = _two_largest(weight.detach().float())
    if largest is None:
        return weight
    second = (largest[..., 1] / scales).round()
    most = (LARGEST_PAIR - second).clamp(min=LARGEST_PAIR // 2) * scales  # [2, out]
    shape = (-1, *[1] * (weight.ndim - 1))
    return weight.clamp(-most[1].view(shape), most[0].view(shape))


def _two_largest(weight: torch.Tensor) -> torch.Tensor | None:
    """Return the two largest magnitudes per sign and channel, [sign 2, out, 2].

    Zeros stand for missing values; None if channels have fewer than two weights.
    """
    rows = weight.flatten(1)
    if rows.shape[1] < 2:
        return None
    return torch.stack([rows.topk(2).values, (-rows).topk(2).values]).clamp(min=0)


def fitting_scales(scales: torch.Tensor, bias: torch.Tensor, reads: torch.Tensor) -> torch.Tensor:
    """Widen weight scales, [out], where a bias, [out], would overflow the int32 accumulator.

    A channel with weights close to zero has such small steps that its bias exceeds int32.

    Args:
        scales: [out], the steps of the weights.
        bias: [out].
        reads: the step of the layer's inputs.
    """
    return torch.maximum(scales, bias.detach().abs() / (reads * (_LARGEST_SUM / 2)))


def rounded_sums(bias: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """Round a bias, [out], to int32 levels of the given steps, [out]."""
    levels = (bias.detach() / step).round().clamp(-_LARGEST_SUM, _LARGEST_SUM)
    return bias + (levels * step - bias).detach()


def rounded_half(x: torch.Tensor) -> torch.Tensor:
    """Round to float16."""
    return x + (x.half().to(x.dtype) - x).detach()
