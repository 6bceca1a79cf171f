"""What criteria that look at gradients share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ...lazy_imports import nn, torch


@contextmanager
def frozen_norms(network: nn.Module) -> Iterator[None]:
    """Gradients inside, from none, of the network as it answers: in evaluation mode."""
    from ...safe_convolutions import safe_convolutions

    training = network.training
    network.eval()
    network.zero_grad(set_to_none=True)
    with torch.enable_grad(), safe_convolutions(network):
        yield
    network.train(training)


def filled_gradients(network: nn.Module) -> None:
    """Give parameters that had no part in the answer a gradient of zero."""
    for parameter in network.parameters():
        parameter.grad = gradient(parameter)


def gradient(parameter: nn.Parameter) -> torch.Tensor:
    """A parameter's gradient; zero if it had no part in the answer."""
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
