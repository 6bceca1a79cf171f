"""Evaluation of a network's accuracy, plain or balanced."""

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
    """The accuracy metric."""

    PLAIN = "accuracy"  # the share of correct images
    BALANCED = "balanced accuracy"  # the mean over the classes of the share of correct images


@dataclass(frozen=True)
class Score:
    """The correctness of a network's predictions on a set of images.

    Attributes:
        correct: bool [images], in the order of the set, for paired comparisons.
        classes: int64 [images], the labels, for balanced accuracy; else None.
    """

    correct: torch.Tensor
    classes: torch.Tensor | None = None

    @property
    def accuracy(self) -> float:
        """The accuracy in percent, 0 to 100; balanced if `classes` is set.

        Balanced accuracy is the mean recall over the classes that have images (Brodersen et al.,
        "The balanced accuracy and its posterior distribution", 2010,
        https://doi.org/10.1109/ICPR.2010.764).
        """
        if self.classes is None:
            return 100 * float(self.correct.double().mean())
        counts = torch.bincount(self.classes)
        right = torch.bincount(self.classes, weights=self.correct.double())
        return 100 * float((right[counts > 0] / counts[counts > 0]).mean())


def accuracy_step(images: ImageSet, metric: Metric) -> float:
    """Compute the smallest possible difference between two accuracies, in percentage points.

    Plain: the effect of one image. Balanced: recalls have different steps in classes of different
    sizes, so the smallest difference is close to zero unless all classes are of one size.
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
    """Evaluate a network on images, in float32 and evaluation mode, on its device.

    Raises:
        TrainingDiverged: its outputs are not finite.
    """
    from ...safe_convolutions import safe_convolutions

    device = next(network.parameters()).device
    network.eval()

    def answer(pixels: torch.Tensor) -> torch.Tensor:
        shown = normalisation(pixels.to(device))
        scores: torch.Tensor = network(shown.contiguous(memory_format=torch.channels_last))
        return scores

    # Dilated convolutions with padding can crash the process even without gradients.
    with torch.inference_mode(), safe_convolutions(network):
        return score_answers(answer, images, batch_size, "the network", metric)


def score_answers(
    answer: Callable[[torch.Tensor], torch.Tensor],
    images: ImageSet,
    batch_size: int,
    whose: str,
    metric: Metric = Metric.PLAIN,
) -> Score:
    """Evaluate predictions on images against their labels.

    Args:
        answer: uint8 pixels, [batch, channels, height, width] -> scores, [batch, classes].
        images: the images with labels.
        batch_size: images per call.
        whose: the subject of the error message: "the network".
        metric: plain or balanced accuracy.

    Raises:
        TrainingDiverged: the scores are not finite.
    """
    right = []
    for pixels, labels in images.batches(batch_size):
        beat()
        scores = answer(pixels)
        if not bool(scores.isfinite().all()):
            raise TrainingDiverged(f"the outputs of {whose} are not finite")
        right.append(scores.argmax(1).cpu() == labels)
    return Score(torch.cat(right), images.labels if metric is Metric.BALANCED else None)
