"""Batch norm's running statistics, taken afresh, as after surgery; the weights stay."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def recalibrate_bn(module: nn.Module) -> Iterator[None]:
    """What runs inside gives a module's batch norms their figures; it ends in evaluation mode."""
    norms = [inner for inner in module.modules() if isinstance(inner, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    module.eval()  # all but the norms: dropout would change what they see, and by chance
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
