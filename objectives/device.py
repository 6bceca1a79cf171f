"""Where networks run, and in which precision they train."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def best_device() -> torch.device:
    """A GPU when there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is computed in hardware there; in software it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


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
