"""Numbers rounded to the levels of a narrower type, with gradients that pass straight through.

Weights are symmetric with one scale per output channel, activations asymmetric with one scale per
tensor, and a bias has the step of the products that it is added to, as in Jacob et al.:
Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference (2018),
https://arxiv.org/abs/1712.05877. The gradient is that of Bengio et al.: Estimating or Propagating
Gradients Through Stochastic Neurons (2013), https://arxiv.org/abs/1308.3432.
"""

import torch

SMALLEST_SCALE = 1e-8
LARGEST_PAIR = 128
"""The most that two 8-bit weights of one output channel and one sign add up to.

NOTE: x86 processors without VNNI multiply unsigned activations by signed weights in pairs and add
the two products in 16 bits, which saturate (vpmaddubsw). Activations reach 255, and 255 * 128 is
the last multiple that fits: with larger pairs a file answers otherwise there than where it was
made. Which weights form a pair is the runtime's choice, so that any two must fit. See
https://uxlfoundation.github.io/oneDNN/dev_guide_int8_computations.html and onnxruntime#14642.
"""
_LARGEST_SUM = 2**31 - 128
"""The largest int32 that is a float32 too."""
_FEWEST_THAT_REACH = 4
_CLIPS = tuple(1 - 0.05 * step for step in range(13))
"""Shares of the largest weight that few-bit levels may end at."""


def highest_level(bits: int) -> int:
    """The largest level of a symmetric integer type: 127 of 8 bits, as many below zero as above."""
    return int(2 ** (bits - 1)) - 1


def weight_scales(weight: torch.Tensor, bits: int) -> torch.Tensor:
    """The step between levels for each output channel, [out].

    The levels reach the largest weight. With 2 and 3 bits, where most weights would become zero,
    they end where the squared error is least: Choukroun et al.: Low-bit Quantization of Neural
    Networks for Efficient Inference (2019), https://arxiv.org/abs/1902.06822. With 4 bits that
    costs accuracy: see docs/quantization.md.

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
    """Weights, [out, ...], at the levels of a symmetric integer type."""
    if weight.is_meta:  # torch's operator does not run there
        return weight.float()
    highest, zeros = highest_level(bits), torch.zeros_like(scales, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(
        weight.float(), scales, zeros, 0, -highest, highest
    )


def paired_scales(weight: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """Steps of 8-bit weights, [out], widened where two levels would add up to too much.

    A channel whose two largest levels of either sign add up to `LARGEST_PAIR` or less keeps its
    step; so does one with a single weight.

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
    """8-bit weights, [out, ...], cut off where two levels would add up to too much.

    Whatever moves weights or steps after calibration, the levels keep to `LARGEST_PAIR`: of each
    sign a channel's largest weight gives way to the second, and both to half of it. Gradients pass
    through what is not cut off.

    Args:
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
    """Of each sign the two largest sizes, [2, out, 2], or zeros; None if there are no two."""
    rows = weight.flatten(1)
    if rows.shape[1] < 2:
        return None
    return torch.stack([rows.topk(2).values, (-rows).topk(2).values]).clamp(min=0)


def fitting_scales(scales: torch.Tensor, bias: torch.Tensor, reads: torch.Tensor) -> torch.Tensor:
    """Weight scales, [out], widened where a bias, [out], would not fit beside the sums of products.

    A channel whose weights are all but zero has steps so small that its bias takes more than int32.

    Args:
        reads: the step of what the layer reads.
    """
    return torch.maximum(scales, bias.detach().abs() / (reads * (_LARGEST_SUM / 2)))


def rounded_sums(bias: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """A bias, [out], at the levels of the int32 sums that it is added to, of a step for each."""
    levels = (bias.detach() / step).round().clamp(-_LARGEST_SUM, _LARGEST_SUM)
    return bias + (levels * step - bias).detach()


def rounded_half(x: torch.Tensor) -> torch.Tensor:
    """Numbers at the levels of float16."""
    return x + (x.half().to(x.dtype) - x).detach()
