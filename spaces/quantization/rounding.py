"""Numbers rounded to the levels of a narrower type, with gradients that pass straight through.

Weights are symmetric with one scale per output channel, activations asymmetric with one scale per
tensor, and a bias has the step of the products that it is added to, as in Jacob et al.:
Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference (2018),
https://arxiv.org/abs/1712.05877. The gradient is that of Bengio et al.: Estimating or Propagating
Gradients Through Stochastic Neurons (2013), https://arxiv.org/abs/1308.3432.
"""

import torch

SMALLEST_SCALE = 1e-8
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
