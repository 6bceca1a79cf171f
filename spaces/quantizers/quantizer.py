"""What a quantizer is: it decides how a network comes to its bit-widths."""

from abc import ABC, abstractmethod

from torch import nn

from ..kind import Surroundings
from ..technique import Technique


class Quantizer(ABC):
    """A way to train a network that is rounded already, by calibration.

    Attributes:
        technique: its description; its name is what plans and study files say.
    """

    technique: Technique

    @property
    def name(self) -> str:
        return self.technique.name

    @abstractmethod
    def train(self, network: nn.Module, around: Surroundings) -> None:
        """Train a network at its bit-widths, in place, by `around.tune`."""
