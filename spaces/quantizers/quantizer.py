"""What a quantizer is: it decides how a network comes to its bit-widths."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ...lazy_imports import nn
from ..technique import ApplyContext, Described


class Quantizer(Described, ABC):
    """A way to train a network that is rounded already, by calibration."""

    @abstractmethod
    def train(self, network: nn.Module, context: ApplyContext) -> None:
        """Train a network at its bit-widths, in place, by `around.tune`."""
