"""How many images a network gets right."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from ..errors import TrainingDiverged
from .data import ImageSet, Normalisation


@dataclass(frozen=True)
class Score:
    """A network's answers on a set of images.

    Attributes:
        correct: bool [images], in the set's order, so that two networks can be compared in pairs.
    """

    correct: torch.Tensor

    @property
    def accuracy(self) -> float:
        """Percent, 0 to 100."""
        return 100 * float(self.correct.double().mean())


def score(
    network: nn.Module, images: ImageSet, normalisation: Normalisation, batch_size: int = 256
) -> Score:
    """Run a network over images, in float32 and in evaluation mode, on the device where it is.

    Raises:
        TrainingDiverged: its scores are no finite numbers.
    """
    device = next(network.parameters()).device
    network.eval()

    def answer(pixels: torch.Tensor) -> torch.Tensor:
        shown = normalisation(pixels.to(device))
        scores: torch.Tensor = network(shown.contiguous(memory_format=torch.channels_last))
        return scores

    with torch.inference_mode():
        return score_answers(answer, images, batch_size, "the network")


def score_answers(
    answer: Callable[[torch.Tensor], torch.Tensor], images: ImageSet, batch_size: int, whose: str
) -> Score:
    """Compare answers to images with their labels.

    Args:
        answer: uint8 pixels, [batch, channels, height, width] -> scores, [batch, classes].
        whose: answers they are, for the error.

    Raises:
        TrainingDiverged: the scores are no finite numbers.
    """
    right = []
    for pixels, labels in images.batches(batch_size):
        scores = answer(pixels)
        if not bool(scores.isfinite().all()):
            raise TrainingDiverged(f"{whose}'s scores are no finite numbers")
        right.append(scores.argmax(1).cpu() == labels)
    return Score(torch.cat(right))
