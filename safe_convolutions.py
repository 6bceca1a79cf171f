"""Workarounds for convolutions that oneDNN computes wrongly on CPUs.

torch computes convolutions on CPUs with oneDNN, which fails in three cases (seen with torch 2.13,
which contains oneDNN 3.12). Networks train inside `safe_convolutions`, which replaces these cases
wherever they are called from: a layer, a quantized layer, or a user's own `F.conv2d`.

1. **1x1 kernels with a stride in channels_last, with fewer input channels than a block** (8 with
   AVX2, 16 with AVX-512, in float32): the gradient of the weight is written past its workspace,
   which ends in heap corruption, a hang or wrong gradients:
   https://github.com/uxlfoundation/oneDNN/issues/6035. Making everything contiguous does not help:
   a 1x1 weight that was once in channels_last makes torch choose that format for all tensors.
   Replaced by a slice and a convolution of stride 1: the same products, the same sums.
2. **Strided convolutions of narrow images in bfloat16** (any AVX-512): where the image is narrower
   than the stride, the gradient of the weight has uninitialized numbers; where the output is one
   pixel wide and more than one high, so has the output itself, with AMX. Computed in float32
   instead; these images are small.
3. **Dilation with padding** (AVX-512, also in float32): the process may die where an output pixel
   sees nothing but padding. The input is padded beforehand instead, and the dilation of a kernel
   one pixel wide, which has no effect, is set to 1.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

_BLOCK = 16
"""Channels in the widest block of oneDNN, in float32."""

_NARROW = (torch.bfloat16, torch.float16)

_Convolve = Callable[..., torch.Tensor]
_ATEN = (torch.ops.aten.conv1d, torch.ops.aten.conv2d, torch.ops.aten.conv3d)
_CONVOLUTIONS = frozenset[object](
    {torch.conv1d, torch.conv2d, torch.conv3d, *_ATEN, *(item.default for item in _ATEN)}
)
"""Convolutions under all their names; networks from `torch.export` call the last of these."""


@contextmanager
def safe_convolutions(network: nn.Module) -> Iterator[None]:
    """Replace the convolutions that fail, forward and backward, in the code inside.

    Where torch's own results are right, these differ in the last digits at most. Scoring in float32
    without gradients is unchanged, and so is every other device.

    Args:
        network: its first parameter's device decides; without parameters, the CPU is assumed.
    """
    device = next((parameter.device.type for parameter in network.parameters()), "cpu")
    if device != "cpu":
        yield
        return
    with _SafeConvolutions():
        yield


class _SafeConvolutions(TorchFunctionMode):
    """Intercepts every call of a torch function; all but convolutions pass through unchanged."""

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
    # A padding that is still a string is "valid": torch has no "same" with strides.
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
    """The padded input. A reach is the distance from a kernel's first pixel to its last."""
    if isinstance(padding, str):  # "same": an odd pixel goes to the end, as in torch
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
    """Whether a convolution is case 2 of this module; the width is the last dimension."""
    sizes = input.shape[-len(steps) :]
    outputs = [
        (size + 2 * pad - dilation * (pixels - 1) - 1) // step + 1
        for size, pixels, step, pad, dilation in zip(
            sizes, kernel, steps, pads, dilations, strict=True
        )
    ]
    return steps[-1] > 1 and (sizes[-1] < steps[-1] or (outputs[-1] == 1 and max(outputs) > 1))


def _computed_in(input: torch.Tensor) -> torch.dtype:
    """The dtype that torch would convolve in, with autocast considered."""
    if input.dtype == torch.float32 and torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu")
    return input.dtype


def _each(value: int | Sequence[int], dims: int) -> tuple[int, ...]:
    """One number per dimension, from torch's number or sequence."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * dims if len(values) == 1 else values


__all__ = ["safe_convolutions"]
