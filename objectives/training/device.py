"""The device of networks, and the precision of training."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager

from ...lazy_imports import torch

_X86 = ("x86_64", "amd64")
_WITHOUT_BF16 = ("AVX512_CORE", "AVX512_CORE_VNNI")
"""Values of ONEDNN_MAX_CPU_ISA with which oneDNN emulates bfloat16."""


def best_device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_bf16(device: torch.device) -> bool:
    """Return whether a device computes bfloat16 in hardware; emulation is slower than float32.

    NOTE: torch's own check, which asks oneDNN, is also true if oneDNN emulates bfloat16 with
    AVX-512. There, training takes 2.3 times as long as in float32 (benchmarks/README.md,
    "Processors").
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    if platform.machine().lower() not in _X86:
        return True
    # NOTE: a private function, but torch has no public one; older versions lack it.
    knows = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    limits = (os.environ.get(f"{name}_MAX_CPU_ISA", "") for name in ("ONEDNN", "DNNL"))
    return bool(knows()) and not any(limit.upper() in _WITHOUT_BF16 for limit in limits)


def hardware() -> str:
    """Describe the hardware as far as results depend on it: "cpu bf16"."""
    device = best_device()
    return f"{device.type} {'bf16' if has_bf16(device) else 'fp32'}"


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Set torch's number of CPU threads inside; None does not change it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
