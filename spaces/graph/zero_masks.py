"""Masks that keep pruned weights at zero during training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ...lazy_imports import nn, torch

STORED_ZEROS = "zeros"
"""The attribute of a module with the number of weights that are zero and stored as a mask."""


@contextmanager
def zero_masks(network: nn.Module) -> Iterator[None]:
    """Keep zero weights of sparse layers at zero while training.

    Their gradients are masked; momentum and weight decay of a zero weight are zero, too.
    """
    handles = [
        weight.register_hook(_masking((weight != 0).to(weight.dtype)))  # type: ignore[no-untyped-call]
        for module in network.modules()
        if getattr(module, STORED_ZEROS, 0)
        and isinstance(weight := module.weight, nn.Parameter)
        and weight.requires_grad
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _masking(mask: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda gradient: gradient * mask
