"""A written file beside the network that it came from: same answers, what size, how fast."""

from dataclasses import dataclass, field
from pathlib import Path

import torch

from ...errors import FileDiffers
from ...objectives.accuracy.budget import drop_between
from ...objectives.accuracy.scoring import Metric, Score
from ...objectives.data import ImageSet, Normalisation
from .latency import Runs, external_latency, latencies

MAX_ACCURACY_DIFFERENCE = 0.5
"""Percentage points, on each split: above the difference that rounding activations makes. Where a
single image makes more, as much as that."""
MIN_AGREEMENT = 98.0
"""Percent of images to which the file and the network give the same class."""


@dataclass(frozen=True)
class Checked:
    """What a file answered.

    Attributes:
        accuracy: split -> percent, of the file.
        network: split -> percent, of the network.
        agreement: percent of all those images with the same class from both.
        logit_difference: the largest, as a share of the largest score.
        bytes: of the file.
        baseline_bytes: of the baseline's file in the same format.
        milliseconds: median at batch 1 with one thread on this machine.
        baseline_milliseconds: of the baseline's file, in turns with it.
        device_milliseconds: what the user's command said of the file; None without one.
        baseline_device_milliseconds: and of the baseline's.
        most_apart: split -> how far its accuracies may be apart, in percentage points.
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
        """What differs beyond tolerance, one clause each."""
        faults = [
            f"{value:.2f} % on the {split} split where the network has {self.network[split]:.2f} %"
            for split, value in self.accuracy.items()
            if abs(drop_between(self.network[split], value)) > self._most_apart(split)
        ]
        if self.agreement < MIN_AGREEMENT:
            faults.append(
                f"it gives another class than the network to {100 - self.agreement:.1f} % of images"
            )
        return faults

    def _most_apart(self, split: str) -> float:
        return self.most_apart.get(split, MAX_ACCURACY_DIFFERENCE) + 1e-9

    def require(self, name: str) -> None:
        """See that the file is as good as its network.

        Raises:
            FileDiffers: it is not; the message says in what.
        """
        if self.faults:
            raise FileDiffers(f"{name} was not kept: " + "; ".join(self.faults))


@dataclass(frozen=True)
class Predictions:
    """Scores, [images, classes], labels, [images], and what is meant by their accuracy."""

    scores: torch.Tensor
    labels: torch.Tensor
    metric: Metric = Metric.PLAIN

    @property
    def score(self) -> Score:
        """Which of them are right."""
        balanced = self.metric is Metric.BALANCED
        return Score(self.scores.argmax(1) == self.labels, self.labels if balanced else None)

    @property
    def accuracy(self) -> float:
        """Percent."""
        return self.score.accuracy

    @property
    def one_image(self) -> float:
        """What a single image makes of the accuracy at most, in percentage points."""
        if self.metric is Metric.PLAIN:
            return 100 / len(self.labels)
        counts = [count for count in torch.bincount(self.labels).tolist() if count]
        return 100 / (len(counts) * int(min(counts)))


@torch.inference_mode()
def predict(
    runs: Runs, images: ImageSet, normalisation: Normalisation, metric: Metric = Metric.PLAIN
) -> Predictions:
    """What a network or file says of images."""
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
        runs: the file, loaded in its own runtime.
        network: split -> what the network answers.
        splits: split -> images.
        normalisation: what both expect.
        files: the file, and the baseline's in the same format.
        baseline: the baseline's file, loaded.
        latency_command: prints the milliseconds of a {file} on the user's device.
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
