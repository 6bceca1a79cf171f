"""Base class of quantizers."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ...lazy_imports import nn
from ..technique import ApplyContext, Described


class Quantizer(Described, ABC):
    """Base class of quantizers, which train a quantized network.

    Set `info`, implement :meth:`train` and register an instance with `QUANTIZERS`. :meth:`train` is
    called once per evaluated plan with this quantizer, after the technique `bits` has replaced,
    calibrated and bias-corrected the layers. It is skipped if `context.tune` is `no_training`.
    """

    @abstractmethod
    def train(self, network: nn.Module, context: ApplyContext) -> None:
        """Train a network at its bit-widths, in place, with `context.tune`."""
