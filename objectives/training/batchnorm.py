"""Recalibration of batch norm's running statistics, as after a change of the network."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def recalibrate_bn(module: nn.Module) -> Iterator[None]:
    """Recompute a module's running statistics from its runs inside; ends in evaluation mode."""
    norms = [inner for inner in module.modules() if isinstance(inner, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    module.eval()  # all but the norms: dropout would randomly change their inputs
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
        norm.train()
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        module.eval()
