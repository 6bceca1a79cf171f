"""Comparison of an exported file with its network: accuracy, agreement, size and latency."""

from dataclasses import dataclass, field
from pathlib import Path

import torch

from ...errors import FileDiffers
from ...objectives.accuracy.budget import drop_between
from ...objectives.accuracy.scoring import Metric, Score
from ...objectives.data import ImageSet, Normalisation
from .latency import Runs, external_latency, latencies

MAX_ACCURACY_DIFFERENCE = 0.5
"""Tolerance per split, in percentage points: above the effect of rounding activations. Where one
image makes more, one image is tolerated."""
MIN_AGREEMENT = 98.0
"""Smallest share of images with the same class from file and network, in percent."""


@dataclass(frozen=True)
class Checked:
    """The result of checking a file.

    Attributes:
        accuracy: split -> accuracy of the file, in percent.
        network: split -> accuracy of the network, in percent.
        agreement: share of all images with the same class from both, in percent.
        logit_difference: largest difference of scores, relative to the largest score.
        bytes: size of the file.
        baseline_bytes: size of the baseline's file in the same format.
        milliseconds: median latency at batch 1 with one thread on this machine.
        baseline_milliseconds: latency of the baseline's file, measured in alternation.
        device_milliseconds: latency by the user's command; None without one.
        baseline_device_milliseconds: latency of the baseline's file by the user's command.
        most_apart: split -> tolerated difference of accuracies, in percentage points.
    """

    accuracy: dict[str, float]
    network: dict[str, float]
    agreement: float
    logit_difference: float
    bytes: int
    baseline_bytes: int
    milliseconds: float
    baseline_milliseconds: float
    device_milliseconds: float | None = None
    baseline_device_milliseconds: float | None = None
    most_apart: dict[str, float] = field(default_factory=dict)

    @property
    def faults(self) -> list[str]:
        """The differences beyond tolerance, one clause each."""
        faults = [
            f"its accuracy on the {split} split is {value:.2f} %, the network's is "
            f"{self.network[split]:.2f} %"
            for split, value in self.accuracy.items()
            if abs(drop_between(self.network[split], value)) > self._most_apart(split)
        ]
        if self.agreement < MIN_AGREEMENT:
            faults.append(
                f"its class differs from the network's for {100 - self.agreement:.1f} % of images"
            )
        return faults

    def _most_apart(self, split: str) -> float:
        return self.most_apart.get(split, MAX_ACCURACY_DIFFERENCE) + 1e-9

    def require(self, name: str) -> None:
        """Validate that the file matches its network.

        Raises:
            FileDiffers: it does not; the message lists the differences.
        """
        if self.faults:
            raise FileDiffers(f"{name} was discarded: " + "; ".join(self.faults))


@dataclass(frozen=True)
class Predictions:
    """Scores, [images, classes], labels, [images], and the accuracy metric."""

    scores: torch.Tensor
    labels: torch.Tensor
    metric: Metric = Metric.PLAIN

    @property
    def score(self) -> Score:
        """The correct predictions."""
        balanced = self.metric is Metric.BALANCED
        return Score(self.scores.argmax(1) == self.labels, self.labels if balanced else None)

    @property
    def accuracy(self) -> float:
        """Accuracy, in percent."""
        return self.score.accuracy

    @property
    def one_image(self) -> float:
        """The largest effect of one image on the accuracy, in percentage points."""
        if self.metric is Metric.PLAIN:
            return 100 / len(self.labels)
        counts = [count for count in torch.bincount(self.labels).tolist() if count]
        return 100 / (len(counts) * int(min(counts)))


@torch.inference_mode()
def predict(
    runs: Runs, images: ImageSet, normalisation: Normalisation, metric: Metric = Metric.PLAIN
) -> Predictions:
    """The predictions of a network or file for images."""
    scores, labels = [], []
    for pixels, right in images.batches(256):
        scores.append(runs(normalisation(pixels)).float().cpu())
        labels.append(right)
    return Predictions(torch.cat(scores), torch.cat(labels), metric)


def check(
    runs: Runs,
    network: dict[str, Predictions],
    splits: dict[str, ImageSet],
    normalisation: Normalisation,
    files: tuple[Path, Path],
    baseline: Runs,
    latency_command: str | None = None,
) -> Checked:
    """Compare a file with its network.

    Args:
        runs: the file, loaded in its runtime.
        network: split -> predictions of the network.
        splits: split -> images.
        normalisation: normalisation of the images.
        files: paths of the file, and of the baseline's file in the same format.
        baseline: the baseline's file, loaded in its runtime.
        latency_command: command that prints the latency of {file} in milliseconds.
    """
    predictions = {
        name: predict(runs, images, normalisation, network[name].metric)
        for name, images in splits.items()
    }
    ours = torch.cat([predictions[name].scores for name in splits])
    theirs = torch.cat([network[name].scores for name in splits])
    pixels, _ = next(iter(splits["search"].batches(1)))
    ms, baseline_ms = latencies([runs, baseline], normalisation(pixels))
    device_times = [
        external_latency(latency_command, file) if latency_command else None for file in files
    ]
    return Checked(
        {name: item.accuracy for name, item in predictions.items()},
        {name: network[name].accuracy for name in splits},
        100 * float((ours.argmax(1) == theirs.argmax(1)).double().mean()),
        float((ours - theirs).abs().max() / theirs.abs().max()),
        files[0].stat().st_size,
        files[1].stat().st_size,
        ms,
        baseline_ms,
        device_times[0],
        device_times[1],
        most_apart={name: max(MAX_ACCURACY_DIFFERENCE, network[name].one_image) for name in splits},
    )
