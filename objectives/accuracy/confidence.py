"""Confidence intervals of accuracy drops, from paired predictions of baseline and plan.

Only images that exactly one of the two networks classifies correctly carry information. The
interval is Tango's for the difference of two paired proportions (Tango, "Equivalence test and
confidence interval for the difference in proportions for the paired-sample design", Statistics in
Medicine 17, 1998), which Fagerland, Lydersen and Laake recommend ("Recommended tests and confidence
intervals for paired binomial proportions", 2014, https://doi.org/10.1002/sim.6148). Neither scipy
nor statsmodels has it; the one planned for statsmodels (Newcombe's) covers too much or too little
if few predictions differ: see `benchmarks/coverage.py`.

A drop of balanced accuracy is the mean of the classes' drops. Tango's limits of the classes are
combined by the method of variance estimates recovery (Zou, Huang and Zhang, "A note on confidence
interval estimation for a linear function of binomial proportions", 2009,
https://doi.org/10.1016/j.csda.2008.09.033; Zou and Donner, "Construction of confidence limits about
effect measures", 2008, https://doi.org/10.1002/sim.3095). If few predictions differ, the interval
is conservative: wider than necessary.

A network's accuracies on two different sets of images are unpaired. The interval of their
difference is Newcombe's hybrid of two Wilson scores (method 10 in "Interval estimation for the
difference between independent proportions: comparison of eleven methods", Statistics in Medicine
17, 1998, https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I), which
is the method of variance estimates recovery for one class; classes are combined as above.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from ...lazy_imports import torch
from .budget import Budget
from .root_finding import brentq
from .scoring import Score

ONE_SIDED = 1.6448536269514722
TWO_SIDED = 1.959963984540054
"""Quantiles of the normal distribution at 0.95 and 0.975, for 95 % confidence. Equal to scipy's,
whose import would take longer than the rest of `paredown best`."""

_MOST_IMAGES = 10**9


class Certainty(StrEnum):
    """How certain it is that a drop is within a budget."""

    WITHIN = "within"  # the upper bound of the drop is within the budget
    LIKELY = "likely"  # the drop is within the budget, but its upper bound is not
    OVER = "over"  # the drop exceeds the budget


@dataclass(frozen=True)
class CorrectCounts:
    """The numbers of images that a network classifies correctly.

    Attributes:
        counts: (correct, total) for all images or, for balanced accuracy, for each class.
    """

    counts: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, score: Score) -> CorrectCounts:
        """Count the correct predictions of a score, for its metric."""
        if score.classes is None:
            return cls((_count_right(score.correct),))
        labels = sorted(set(score.classes.tolist()))
        return cls(tuple(_count_right(score.correct[score.classes == item]) for item in labels))

    @property
    def accuracy(self) -> float:
        """The accuracy in percent: the mean share of correct images."""
        return 100 * sum(right / images for right, images in self.counts) / len(self.counts)

    def margins(self, z: float) -> tuple[float, float]:
        """Compute the distances of Wilson's limits below and above the accuracy, as shares."""
        limits = [(right / images, _wilson(right, images, z)) for right, images in self.counts]
        below = math.hypot(*(share - low for share, (low, _) in limits))
        above = math.hypot(*(high - share for share, (_, high) in limits))
        return below / len(self.counts), above / len(self.counts)

    def to_list(self) -> list[list[int]]:
        """Return JSON-compatible data for `from_list`."""
        return [list(pair) for pair in self.counts]

    @classmethod
    def from_list(cls, data: Sequence[Sequence[int]]) -> CorrectCounts:
        """Create counts from the data of `to_list`."""
        return cls(tuple((int(right), int(images)) for right, images in data))


@dataclass(frozen=True)
class UnpairedDifference:
    """The difference between a network's accuracies on two independent sets of images.

    Attributes:
        first, second: the correct predictions on each set.
    """

    first: CorrectCounts
    second: CorrectCounts

    @property
    def points(self) -> float:
        """The observed difference in percentage points."""
        return self.first.accuracy - self.second.accuracy

    @cached_property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the difference, in percentage points."""
        z = TWO_SIDED
        (below, above), (under, over) = self.first.margins(z), self.second.margins(z)
        low = self.points - 100 * math.hypot(below, over)
        return max(-100.0, low), min(100.0, self.points + 100 * math.hypot(above, under))


def _count_right(correct: torch.Tensor) -> tuple[int, int]:
    return int(torch.count_nonzero(correct)), len(correct)


def _wilson(right: int, images: int, z: float) -> tuple[float, float]:
    """Compute Wilson's score interval of a share.

    Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953.
    """
    share = right / images
    middle = share + z**2 / (2 * images)
    half = z * math.sqrt(share * (1 - share) / images + (z / (2 * images)) ** 2)
    scale = 1 + z**2 / images
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


@dataclass(frozen=True)
class PairedDrop:
    """The drop of a plan, from paired predictions with the baseline on the same images.

    Attributes:
        images: the number of images.
        lost: the number that only the baseline classifies correctly.
        gained: the number that only the plan classifies correctly.
        baseline_right: the number that the baseline classifies correctly; None if not stored.
    """

    images: int
    lost: int
    gained: int
    baseline_right: int | None = None

    @classmethod
    def between(cls, baseline: Score, plan: Score) -> PairedDrop:
        """Compare the predictions of both on the same images, in the same order.

        Returns a `BalancedDrop` if the scores are of balanced accuracy.
        """
        if baseline.correct.shape != plan.correct.shape:
            raise ValueError(
                "expected predictions for the same images, got "
                f"{len(baseline.correct)} and {len(plan.correct)}"
            )
        if plan.classes is not None:
            some = (plan.classes == label for label in sorted(set(plan.classes.tolist())))
            classes = [
                PairedDrop.between(Score(baseline.correct[its]), Score(plan.correct[its]))
                for its in some
            ]
            return BalancedDrop.of(classes)
        lost = torch.count_nonzero(baseline.correct & ~plan.correct)
        gained = torch.count_nonzero(~baseline.correct & plan.correct)
        right, images = _count_right(baseline.correct)
        return cls(images, int(lost), int(gained), right)

    @property
    def baseline(self) -> CorrectCounts | None:
        """The correct predictions of the baseline; None if not stored."""
        right = self.baseline_right
        return None if right is None else CorrectCounts(((right, self.images),))

    @property
    def drop(self) -> float:
        """The observed drop in percentage points."""
        return 100 * (self.lost - self.gained) / self.images

    @cached_property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the drop, in percentage points."""
        return 100 * self._lower(TWO_SIDED), 100 * self._upper(TWO_SIDED)

    @cached_property
    def upper_bound(self) -> float:
        """The one-sided 95 % upper confidence bound of the drop, in percentage points."""
        return 100 * self._upper(ONE_SIDED)

    def certainty(self, budget: Budget) -> Certainty:
        """Return how certain it is that the drop is within a budget."""
        if budget.allows(self.upper_bound):
            return Certainty.WITHIN
        return Certainty.LIKELY if budget.allows(self.drop) else Certainty.OVER

    def images_needed(self, budget: Budget) -> int | None:
        """Compute the number of images for which the drop would be certainly within a budget.

        Assumes the same rates of correct predictions and the same shares of classes. None if the
        drop is not below the budget, so that no number of images suffices.
        """
        allowed = budget.max_drop / 100
        if self.drop / 100 >= allowed:
            return None

        def is_enough(images: int) -> bool:
            return self._upper(ONE_SIDED, images / self.images) <= allowed

        return _least(is_enough, _MOST_IMAGES)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-compatible data for `from_dict`."""
        low, high = self.interval
        counts = {"images": self.images, "lost": self.lost, "gained": self.gained}
        data = counts | {
            "drop": self.drop,
            "low": low,
            "high": high,
            "upper_bound": self.upper_bound,
        }
        baseline = self.baseline
        return data if baseline is None else data | {"baseline_right": baseline.to_list()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PairedDrop:
        """Create a drop from the data of `to_dict`."""
        classes = data.get("classes") or [[data["images"], data["lost"], data["gained"]]]
        stored = data.get("baseline_right") or [(None, 0)] * len(classes)
        drops = [
            PairedDrop(int(images), int(lost), int(gained), None if right is None else int(right))
            for (images, lost, gained), (right, _) in zip(classes, stored, strict=True)
        ]
        return BalancedDrop.of(drops) if "classes" in data else drops[0]

    def _upper(self, z: float, times: float = 1.0) -> float:
        """Compute the upper limit at a normal quantile, with all counts multiplied by `times`."""
        return _upper(self.lost * times, self.gained * times, self.images * times, z)

    def _lower(self, z: float) -> float:
        return -_upper(self.gained, self.lost, self.images, z)


@dataclass(frozen=True)
class BalancedDrop(PairedDrop):
    """The drop of a plan in balanced accuracy.

    Attributes:
        classes: the drop in each class.
    """

    classes: tuple[PairedDrop, ...] = ()

    @classmethod
    def of(cls, classes: Sequence[PairedDrop]) -> BalancedDrop:
        """Combine the drops of the classes."""
        counts = [(paired.images, paired.lost, paired.gained) for paired in classes]
        images, lost, gained = (sum(some) for some in zip(*counts, strict=True))
        rights = [paired.baseline_right for paired in classes if paired.baseline_right is not None]
        right = sum(rights) if len(rights) == len(classes) else None
        return cls(images, lost, gained, right, tuple(classes))

    @property
    def baseline(self) -> CorrectCounts | None:
        """The correct predictions of the baseline by class; None if not stored."""
        known = [paired.baseline for paired in self.classes]
        counts = [count for counts in known if counts is not None for count in counts.counts]
        return CorrectCounts(tuple(counts)) if len(counts) == len(known) else None

    @property
    def drop(self) -> float:
        """The observed drop in percentage points: the mean of the classes' drops."""
        return sum(paired.drop for paired in self.classes) / len(self.classes)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-compatible data, with (images, lost, gained) of each class."""
        classes = [[paired.images, paired.lost, paired.gained] for paired in self.classes]
        return super().to_dict() | {"classes": classes}

    def _upper(self, z: float, times: float = 1.0) -> float:
        over = (paired._upper(z, times) - paired.drop / 100 for paired in self.classes)
        return min(1.0, self.drop / 100 + math.hypot(*over) / len(self.classes))

    def _lower(self, z: float) -> float:
        under = (paired.drop / 100 - paired._lower(z) for paired in self.classes)
        return max(-1.0, self.drop / 100 - math.hypot(*under) / len(self.classes))


def _upper(lost: float, gained: float, images: float, z: float) -> float:
    """Compute the largest difference that the score test at a normal quantile does not reject."""
    seen = (lost - gained) / images
    if seen >= 1:
        return 1.0
    return brentq(lambda true: _score(lost, gained, images, true) + z, seen, 1.0)


def _score(lost: float, gained: float, images: float, true: float) -> float:
    """Compute Tango's score statistic of the observed difference, for a true difference."""
    away = lost - gained - images * true
    if away == 0:
        return 0.0
    # Maximum likelihood estimate of the share that only the plan classifies correctly, given the
    # true difference.
    half = lost + gained - (2 * images - lost + gained) * true
    root = math.sqrt(max(half**2 + 8 * images * gained * true * (1 - true), 0.0))
    likeliest = (root + half) / (4 * images)
    variance = images * (2 * likeliest + true * (1 - true))
    return away / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, away)


def _least(is_enough: Callable[[int], bool], most: int) -> int | None:
    """Find the least sufficient number by bisection; None if it exceeds `most`."""
    high = 1
    while not is_enough(high):
        if high >= most:
            return None
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
