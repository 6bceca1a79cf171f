"""Convolutions whose gradients are right on every processor.

Some convolutions go wrong in oneDNN, which computes them for torch on processors (seen with torch
2.13, which holds oneDNN 3.12). Networks train inside `safe_convolutions`, where these are computed
another way, whoever calls them: a layer, a quantized layer, or a user's own `F.conv2d`.

1. **1x1 kernels with a stride in channels_last, with fewer input channels than a block** (8 with
   AVX2, 16 with AVX-512, in float32): the weight's gradient is written past its workspace, which
   ends in heap corruption, a hang or wrong gradients:
   https://github.com/uxlfoundation/oneDNN/issues/6035. To make everything contiguous does not avoid
   it, for a 1x1 weight that was in channels_last once makes torch take that format for all. Here
   they become a slice, and a convolution of stride 1: the same products, the same sums.
2. **Strided convolutions of narrow images in bfloat16** (any AVX-512): where the image is narrower
   than the stride, the weight's gradient has numbers that nobody wrote; where the output is one
   pixel wide and higher than that, so has the output itself, with AMX. Here they are computed in
   float32; they are small.
3. **Dilation with padding** (AVX-512, also in float32): the process may die where a pixel of the
   output sees nothing but padding. Here the padding is made beforehand, and a dilation counts for
   nothing where the kernel is one pixel wide, as it does.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

_BLOCK = 16
"""Channels in oneDNN's widest block, in float32."""

_NARROW = (torch.bfloat16, torch.float16)

_Convolve = Callable[..., torch.Tensor]
_ATEN = (torch.ops.aten.conv1d, torch.ops.aten.conv2d, torch.ops.aten.conv3d)
_CONVOLUTIONS = frozenset[object](
    {torch.conv1d, torch.conv2d, torch.conv3d, *_ATEN, *(item.default for item in _ATEN)}
)
"""Under all their names; as the last, networks call them that `torch.export` made."""


@contextmanager
def safe_convolutions(network: nn.Module) -> Iterator[None]:
    """Let a network learn inside, forward and backward, whatever the processor.

    Results differ from torch's own, where these are right, by the last digits at most. Scoring in
    float32 without gradients stays as it is, and so does everything on another device.

    Args:
        network: where its first parameter is, it computes; without parameters, on the processor.
    """
    device = next((parameter.device.type for parameter in network.parameters()), "cpu")
    if device != "cpu":
        yield
        return
    with _SafeConvolutions():
        yield


class _SafeConvolutions(TorchFunctionMode):
    """Sees every call of a torch function inside; all but convolutions go on as they are."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        return _safe(func, *args, **named) if func in _CONVOLUTIONS else func(*args, **named)


def _safe(
    convolve: _Convolve,
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> torch.Tensor:
    kernel = weight.shape[2:]
    steps, gaps = _each(stride, len(kernel)), _each(dilation, len(kernel))
    if input.device.type != "cpu" or max(*steps, *gaps) == 1:
        return convolve(input, weight, bias, stride, padding, dilation, groups)
    dilation = [1 if size == 1 else gap for size, gap in zip(kernel, gaps, strict=True)]
    if max(dilation) > 1 and padding != "valid":
        reaches = [gap * (size - 1) for size, gap in zip(kernel, dilation, strict=True)]
        input, padding = _padded(input, reaches, padding), [0] * len(kernel)
    # With strides, padding by a word is "valid": there is no "same".
    pads = _each(0 if isinstance(padding, str) else padding, len(kernel))
    dtype = _computed_in(input)
    if dtype in _NARROW and _is_narrow(input, kernel, steps, pads, dilation):
        with torch.autocast("cpu", enabled=False):
            wide = bias if bias is None else bias.float()
            output = _safe(
                convolve, input.float(), weight.float(), wide, stride, padding, dilation, groups
            )
        return output.to(dtype)
    if (
        max(steps) > 1
        and torch.is_grad_enabled()
        and weight.shape[1] < _BLOCK
        and set(kernel) == {1}
        and not any(pads)
    ):
        every: tuple[Any, ...] = (..., *(slice(None, None, step) for step in steps))
        ones = [1] * len(kernel)
        return convolve(input[every], weight, bias, ones, [0] * len(kernel), ones, groups)
    return convolve(input, weight, bias, stride, padding, dilation, groups)


def _padded(
    input: torch.Tensor, reaches: Sequence[int], padding: int | Sequence[int] | str
) -> torch.Tensor:
    """An input with its padding around it; a kernel reaches from its first pixel to its last."""
    if isinstance(padding, str):  # "same": what is odd goes behind, as torch has it
        pad_pairs = [(reach // 2, reach - reach // 2) for reach in reaches]
    else:
        pad_pairs = [(pad, pad) for pad in _each(padding, len(reaches))]
    return F.pad(input, [pad for sides in reversed(pad_pairs) for pad in sides])


def _is_narrow(
    input: torch.Tensor,
    kernel: Sequence[int],
    steps: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
) -> bool:
    """Whether a convolution is of the second kind; the width is the last dimension."""
    sizes = input.shape[-len(steps) :]
    outputs = [
        (size + 2 * pad - dilation * (pixels - 1) - 1) // step + 1
        for size, pixels, step, pad, dilation in zip(
            sizes, kernel, steps, pads, dilations, strict=True
        )
    ]
    return steps[-1] > 1 and (sizes[-1] < steps[-1] or (outputs[-1] == 1 and max(outputs) > 1))


def _computed_in(input: torch.Tensor) -> torch.dtype:
    """The type that torch would convolve in, under autocast or without."""
    if input.dtype == torch.float32 and torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu")
    return input.dtype


def _each(value: int | Sequence[int], dims: int) -> tuple[int, ...]:
    """One number for each dimension; torch takes one number for all."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * dims if len(values) == 1 else values


__all__ = ["safe_convolutions"]
