"""Where networks run, and in which precision they train."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager

from ...lazy_imports import torch

_X86 = ("x86_64", "amd64")
_WITHOUT_BF16 = ("AVX512_CORE", "AVX512_CORE_VNNI")
"""What oneDNN may be held to by a variable, and still emulate bfloat16."""


def best_device() -> torch.device:
    """A GPU when there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is computed in hardware there; in software it is slower than float32.

    oneDNN, which torch asks, also says yes where it emulates bfloat16 with AVX-512: there, training
    takes 2.3 times as long as in float32 (benchmarks/README.md, "Processors").
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    if platform.machine().lower() not in _X86:
        return True
    # NOTE: private, but the only word of torch for it; older ones know no better than oneDNN.
    knows = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    limits = (os.environ.get(f"{name}_MAX_CPU_ISA", "") for name in ("ONEDNN", "DNNL"))
    return bool(knows()) and not any(limit.upper() in _WITHOUT_BF16 for limit in limits)


def hardware() -> str:
    """What computes here, as far as results depend on it: "cpu bf16"."""
    device = best_device()
    return f"{device.type} {'bf16' if has_bf16(device) else 'fp32'}"


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Let torch use so many threads of the processor inside; None leaves it as it is."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
