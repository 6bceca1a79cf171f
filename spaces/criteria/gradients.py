"""Helpers of criteria that use gradients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ...lazy_imports import nn, torch


@contextmanager
def frozen_norms(network: nn.Module) -> Iterator[None]:
    """Accumulate gradients from zero, in evaluation mode so that batch norm does not change."""
    from ...safe_convolutions import safe_convolutions

    training = network.training
    network.eval()
    network.zero_grad(set_to_none=True)
    with torch.enable_grad(), safe_convolutions(network):
        yield
    network.train(training)


def filled_gradients(network: nn.Module) -> None:
    """Set missing gradients to zero: those of parameters that do not affect the output."""
    for parameter in network.parameters():
        parameter.grad = gradient(parameter)


def gradient(parameter: nn.Parameter) -> torch.Tensor:
    """Return a parameter's gradient; zero if it does not affect the output."""
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
