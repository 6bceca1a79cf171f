"""Checks that convolutions and their gradients are correct on this processor, as in training.

A failure may crash the process, so run the checks in a separate process.
"""

import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from itertools import islice

import torch
from torch import nn

from ...safe_convolutions import safe_convolutions
from .device import has_bf16

BOUNDS = {torch.float32: 1e-3, torch.bfloat16: 0.05}
"""Error bounds, relative to a tensor's largest value. Rounding alone gives 1e-5 and 0.01."""

_HUGE = 3e38
_JUNK = tuple(2**power for power in range(6, 19))


PLAYED: Mapping[str, Mapping[str, str]] = {
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
    "AVX-512": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
    "AVX-512 with bfloat16": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"},
    "as it is": {},
}
"""Older processors, and the environment variables that emulate them in a separate process."""

HEAP_CHECKS: Mapping[str, str] = {
    "LD_PRELOAD": "libc_malloc_debug.so.0",
    "GLIBC_TUNABLES": "glibc.malloc.check=3",
}
"""Environment variables with which glibc reliably aborts after a write past allocated memory."""


@dataclass(frozen=True)
class Convolution:
    """A convolution to check.

    Attributes:
        shape: of the images, [batch, channels, height, width].
        outputs: number of output channels.
        kernel, stride, padding: (height, width).
        dilation, groups, bias: as in torch.
        images_last, weights_last: whether images and weights are in channels_last format.
        times: number of runs, for errors that do not occur in every run.
        dtype: the type of the computation.
    """

    shape: tuple[int, int, int, int]
    outputs: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: int = 1
    groups: int = 1
    bias: bool = True
    images_last: bool = True
    weights_last: bool = True
    times: int = 1
    dtype: torch.dtype = torch.float32

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in asdict(self).items())


KNOWN = (
    # oneDNN issue 6035: with AVX2; with AVX-512, where it takes larger images; with a contiguous
    # input, whose format the weight decides.
    Convolution((32, 4, 8, 8), 16, (1, 1), (2, 2), times=60),
    Convolution((32, 8, 64, 64), 16, (1, 1), (2, 2), times=3),
    Convolution((32, 4, 64, 64), 16, (1, 1), (2, 2), images_last=False, times=3),
    Convolution((32, 5, 63, 63), 16, (1, 1), (3, 3), times=3),
    # Dilation with padding: a kernel one pixel wide, and rows that see padding alone.
    Convolution((64, 8, 12, 1), 2, (1, 1), (2, 2), (1, 1), 2),
    Convolution((64, 96, 1, 3), 16, (2, 2), (3, 3), (2, 1), 3, bias=False),
    Convolution((2, 8, 1, 7), 64, (4, 4), (1, 1), (3, 0), 2, bias=False),
    # Narrow images in bfloat16: the weight's gradient; the output.
    Convolution((2, 16, 1, 1), 16, (3, 3), (2, 2), (1, 1), times=10),
    Convolution((4, 20, 2, 2), 16, (3, 3), (3, 3), (2, 2), times=10),
    Convolution((32, 64, 4, 2), 64, (3, 3), (2, 2), (1, 1), times=10),
)
"""Convolutions that torch 2.13 computes wrongly on some processors, or that crash it."""


def drawn(seed: int) -> Iterator[Convolution]:
    """Yield random small convolutions, infinitely many, in float32.

    Kernels of 1 to 5, strides of 1 to 3, 1 to 20 channels in and out, whole, in groups and
    depthwise, images of 1 to 17 pixels a side, in either memory format.
    """
    chance = random.Random(seed)
    while True:
        kernel, stride = chance.randint(1, 5), chance.randint(1, 3)
        padding, dilation = chance.randint(0, kernel // 2 + 1), chance.choice((1, 1, 1, 2))
        groups, channels, outputs = _channels(chance)
        height = chance.randint(1, 17)
        width = height if chance.random() < 0.6 else chance.randint(1, 17)
        reach = dilation * (kernel - 1) + 1 - 2 * padding
        yield Convolution(
            (chance.choice((1, 2, 3, 32)), channels, max(height, reach), max(width, reach)),
            outputs,
            (kernel, kernel if chance.random() < 0.8 else 1),
            (stride, stride if chance.random() < 0.9 else 1),
            (padding, padding),
            dilation,
            groups,
            bias=chance.random() < 0.5,
            images_last=chance.random() < 0.6,
            weights_last=chance.random() < 0.6,
        )


def _channels(chance: random.Random) -> tuple[int, int, int]:
    """Draw the number of groups, input channels and output channels."""
    match chance.choice(("whole", "whole", "groups", "depthwise")):
        case "whole":
            return 1, chance.randint(1, 20), chance.randint(1, 20)
        case "groups":
            groups = chance.randint(2, 5)
            most = 20 // groups
            return groups, groups * chance.randint(1, most), groups * chance.randint(1, most)
        case _:
            channels = chance.randint(1, 20)
            return channels, channels, channels * (chance.randint(1, 2) if channels <= 10 else 1)


def in_training(cases: Iterable[Convolution]) -> Iterator[Convolution]:
    """Yield the cases in each type that training uses: bfloat16 only if hardware supports it."""
    dtypes = BOUNDS if has_bf16(torch.device("cpu")) else (torch.float32,)
    return (replace(case, dtype=dtype) for case in cases for dtype in dtypes)


def errors(case: Convolution, safe: bool = True) -> dict[str, float]:
    """Compute a convolution as in training, and its reference in float64.

    Args:
        case: the convolution.
        safe: whether to apply the repairs of training (`safe_convolutions`).

    Returns:
        For output and gradients of input, weight and bias, the largest error of all runs, relative
        to the largest reference value. Infinite for NaN.
    """
    results = dict[str, float]()
    random_numbers = torch.Generator().manual_seed(0)
    for _ in range(case.times):
        layer = nn.Conv2d(
            case.shape[1],
            case.outputs,
            case.kernel,
            case.stride,
            case.padding,
            case.dilation,
            case.groups,
            case.bias,
        )
        with torch.no_grad():  # values that all types represent exactly
            for parameter in layer.parameters():
                parameter.copy_(_drawn(parameter.shape, random_numbers))
        images = _drawn(case.shape, random_numbers)
        right = _computed(layer.double(), images.double(), random_numbers.clone_state(), None)
        layer.float().to(memory_format=_format(case.weights_last))  # type: ignore[call-overload]
        images = images.contiguous(memory_format=_format(case.images_last))
        _leave_junk()
        with safe_convolutions(layer) if safe else nullcontext():
            outputs = _computed(layer, images, random_numbers, case.dtype)
        for name, tensor in right.items():
            error = (outputs[name].double() - tensor).abs().max() / tensor.abs().max().clamp_min(
                1e-30
            )
            results[name] = max(results.get(name, 0.0), float(error.nan_to_num(torch.inf)))
    return results


def _drawn(shape: Iterable[int], random_numbers: torch.Generator) -> torch.Tensor:
    return torch.randn(tuple(shape), generator=random_numbers).bfloat16().float()


def _computed(
    layer: nn.Conv2d,
    images: torch.Tensor,
    random_numbers: torch.Generator,
    dtype: torch.dtype | None,
) -> dict[str, torch.Tensor]:
    """Compute output and gradients; in float64, torch does not use oneDNN."""
    layer.zero_grad(set_to_none=True)
    images = images.detach().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
        output = layer(images)
    torch.autograd.backward(output, _drawn(output.shape, random_numbers).to(output.dtype))
    tensors = {"output": output.detach(), "input": images.grad}
    tensors |= {name: parameter.grad for name, parameter in layer.named_parameters()}
    return {name: tensor.clone() for name, tensor in tensors.items() if tensor is not None}


def _format(last: bool) -> torch.memory_format:
    return torch.channels_last if last else torch.contiguous_format


def _leave_junk() -> None:
    """Fill memory with huge values and free it, to expose reads of uninitialised memory."""
    for dtype in (torch.float32, torch.bfloat16):
        junk = [torch.full((size,), _HUGE, dtype=dtype) for size in _JUNK]
        del junk


def check_convolutions(draws: int = 0, seed: int = 0) -> list[str]:
    """Check known problematic and some random convolutions; takes some seconds.

    It may crash or hang if torch corrupts memory, so run it in a separate process with a time
    limit.

    Args:
        draws: number of random convolutions.
        seed: the seed of the random convolutions.

    Returns:
        A line for each convolution with wrong output or gradients; empty if there is none.
    """
    cases = (*KNOWN, *islice(drawn(seed), draws))
    return [fault for case in in_training(cases) if (fault := fault_of(case))]


def fault_of(case: Convolution, safe: bool = True) -> str:
    """Describe the errors of a convolution; empty if there is none."""
    bound = BOUNDS[case.dtype]
    wrong = {name: error for name, error in errors(case, safe).items() if not error < bound}
    listed = ", ".join(f"{name} by {error:.2g}" for name, error in wrong.items())
    return f"{case}: wrong are {listed}" if wrong else ""


__all__ = [
    "BOUNDS",
    "HEAP_CHECKS",
    "KNOWN",
    "PLAYED",
    "Convolution",
    "check_convolutions",
    "drawn",
    "errors",
    "fault_of",
    "in_training",
]
