"""How many images a network gets right: of all of them, or of each class alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ...errors import TrainingDiverged
from ...heartbeat import beat
from ...lazy_imports import nn, torch

if TYPE_CHECKING:
    from ..data import ImageSet, Normalisation


class Metric(StrEnum):
    """What is meant by accuracy."""

    PLAIN = "accuracy"  # the share of all images that are right
    BALANCED = "balanced accuracy"  # the mean over the classes of the share that is right


@dataclass(frozen=True)
class Score:
    """A network's answers on a set of images.

    Attributes:
        correct: bool [images], in the set's order, so that two networks can be compared in pairs.
        classes: int64 [images], what they show, if all classes are to count alike.
    """

    correct: torch.Tensor
    classes: torch.Tensor | None = None

    @property
    def accuracy(self) -> float:
        """Percent, 0 to 100; balanced if the classes are known.

        The mean of the classes' recalls, over the classes that have images (Brodersen et al.,
        "The balanced accuracy and its posterior distribution", 2010,
        https://doi.org/10.1109/ICPR.2010.764).
        """
        if self.classes is None:
            return 100 * float(self.correct.double().mean())
        counts = torch.bincount(self.classes)
        right = torch.bincount(self.classes, weights=self.correct.double())
        return 100 * float((right[counts > 0] / counts[counts > 0]).mean())


def accuracy_step(images: ImageSet, metric: Metric) -> float:
    """The smallest difference that there can be between two accuracies, in percentage points.

    Plain: what one image makes. Balanced: recalls are shares of their own classes, whose steps mix;
    next to nothing unless the classes are of one size.
    """
    if metric is Metric.PLAIN:
        return 100 / len(images)
    counts = [count for count in torch.bincount(images.labels).tolist() if count]
    return 100 / (len(counts) * math.lcm(*counts))


def score(
    network: nn.Module,
    images: ImageSet,
    normalisation: Normalisation,
    batch_size: int = 256,
    metric: Metric = Metric.PLAIN,
) -> Score:
    """Run a network over images, in float32 and in evaluation mode, on the device where it is.

    Raises:
        TrainingDiverged: its scores are no finite numbers.
    """
    from ...safe_convolutions import safe_convolutions

    device = next(network.parameters()).device
    network.eval()

    def answer(pixels: torch.Tensor) -> torch.Tensor:
        shown = normalisation(pixels.to(device))
        scores: torch.Tensor = network(shown.contiguous(memory_format=torch.channels_last))
        return scores

    # Dilation with padding may end the process without gradients too.
    with torch.inference_mode(), safe_convolutions(network):
        return score_answers(answer, images, batch_size, "the network", metric)


def score_answers(
    answer: Callable[[torch.Tensor], torch.Tensor],
    images: ImageSet,
    batch_size: int,
    whose: str,
    metric: Metric = Metric.PLAIN,
) -> Score:
    """Compare answers to images with their labels.

    Args:
        answer: uint8 pixels, [batch, channels, height, width] -> scores, [batch, classes].
        whose: answers they are, for the error.
        metric: whether all images count alike, or all classes.

    Raises:
        TrainingDiverged: the scores are no finite numbers.
    """
    right = []
    for pixels, labels in images.batches(batch_size):
        beat()
        scores = answer(pixels)
        if not bool(scores.isfinite().all()):
            raise TrainingDiverged(f"{whose}'s scores are no finite numbers")
        right.append(scores.argmax(1).cpu() == labels)
    return Score(torch.cat(right), images.labels if metric is Metric.BALANCED else None)
