"""A study's splits, and the gap of the baseline's accuracy between search and test split."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...objectives.accuracy.confidence import CorrectCounts, UnpairedDifference
from ...objectives.search_source import SearchSource
from .attributes import SPLITS

if TYPE_CHECKING:
    import optuna

    from ...objectives.evaluation.task import Task

_MATTERS = 1.0
"""Smallest relevant difference of accuracies, in percentage points: the scale of budgets."""

_FROM = {
    SearchSource.OWN: " (a separate part) and {test:,} test images",
    SearchSource.TRAIN: " (from the training images{seen}) and {test:,} test images",
    SearchSource.TEST: " and {test:,} test images (halves of the test images{unseen})",
    SearchSource.WHOLE: " and {test:,} test images (all drawn from one set)",
}

_REMEDY = {
    SearchSource.OWN: 'leave the search part out of the data, and set search = "test" in [data]',
    SearchSource.TRAIN: 'start another study with search = "test" in [data]',
}
"""Advice where search and test images may be distributed differently. Random halves of one set
differ by chance alone."""


_IN_WORDS = {
    SearchSource.OWN: "a separate part of the data",
    SearchSource.TRAIN: "part of the training images",
    SearchSource.TEST: "half of the test images",
    SearchSource.WHOLE: "drawn from one set with all others",
}


@dataclass(frozen=True)
class DataSplits:
    """Sizes of the splits, and the source of the search split.

    Attributes:
        train, search, test: numbers of images.
        search_from: source of the search split.
        weights_given: whether the baseline came with weights.
        baseline: the baseline's correct predictions on the search split; None if not scored yet.
    """

    train: int
    search: int
    test: int
    search_from: SearchSource
    weights_given: bool
    baseline: CorrectCounts | None = None

    @classmethod
    def of(cls, task: "Task") -> "DataSplits":
        """The splits of a task."""
        splits = task.splits
        return cls(
            len(splits.train),
            len(splits.search),
            len(splits.test),
            splits.search_from or SearchSource.OWN,
            not task.trains_baseline,
        )

    @property
    def text(self) -> str:
        """In words: "900 train, 100 search (from the training images) and 500 test images"."""
        seen = ", which the given weights may know" if self.weights_given else ""
        unseen = ", which the given weights have not seen" if self.weights_given else ""
        origin = _FROM[self.search_from].format(test=self.test, seen=seen, unseen=unseen)
        return f"{self.train:,} train, {self.search:,} search{origin}"

    def counts(self) -> dict[str, Any]:
        """Sizes and source of the search split, as JSON values."""
        sizes = {"train": self.train, "search": self.search, "test": self.test}
        return sizes | {"search_from": str(self.search_from), "text": self.text}

    def gap(self, test: CorrectCounts | None) -> "Gap | None":
        """The baseline's accuracy on the search split minus that on the test split.

        Args:
            test: the baseline's correct predictions on the test split; None if not scored.
        """
        if self.baseline is None or test is None:
            return None
        return Gap(UnpairedDifference(self.baseline, test), self.search_from)


@dataclass(frozen=True)
class Gap:
    """The baseline's accuracy on the search split compared with the test split.

    Attributes:
        difference: the difference of the two accuracies.
        search_from: source of the search split.
    """

    difference: UnpairedDifference
    search_from: SearchSource

    @property
    def stands_out(self) -> bool:
        """Whether the search images are significantly easier for the baseline.

        The 95 % interval lies above 0, and the difference is above one percentage point.
        """
        low, _ = self.difference.interval
        is_large = self.difference.points > _MATTERS and low > 0
        return is_large and self.search_from in _REMEDY

    @property
    def text(self) -> str:
        """Description of a gap that stands out, with advice."""
        low, high = self.difference.interval
        return (
            f"The baseline has {self.difference.first.accuracy:.2f} % on the search images and "
            f"{self.difference.second.accuracy:.2f} % on the test images, "
            f"{self.difference.points:.2f} points less (95 % interval {low:.2f} to {high:.2f}): "
            "drops in the search are likely to be smaller than those on new images. To search on "
            f"images like the test images, {_REMEDY[self.search_from]}"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON values; accuracies in percent, the rest in percentage points."""
        low, high = self.difference.interval
        return {
            "search": self.difference.first.accuracy,
            "test": self.difference.second.accuracy,
            "difference": self.difference.points,
            "low": low,
            "high": high,
            "stands_out": self.stands_out,
        }


def source_before_0_5(now: str | None) -> str | None:
    """The source of the search split in 0.4, which did not store it.

    It differs from the current one only in that 0.4 never used test images.
    """
    return SearchSource.TRAIN if now == SearchSource.TEST else now


def in_words(source: object) -> str:
    """Describe the source of the search images, to follow "are"."""
    return "unknown" if source is None else _IN_WORDS[SearchSource(str(source))]


def how_to_go_on(source: str | None) -> str:
    """Advice to resume a study with this source of search images; empty if there is none."""
    if source not in (SearchSource.TRAIN, SearchSource.TEST):
        return ""
    return f'set search = "{source}" in [data] to resume the study, or '


def write_data_splits(study: "optuna.Study", splits: DataSplits, baseline: CorrectCounts) -> None:
    """Store the splits in a study, with the baseline's correct predictions."""
    data: dict[str, Any] = {
        "train": splits.train,
        "search": splits.search,
        "test": splits.test,
        "search_from": str(splits.search_from),
        "weights_given": splits.weights_given,
        "baseline": baseline.to_list(),
    }
    if study.user_attrs.get(SPLITS) != data:
        study.set_user_attr(SPLITS, data)


def read_data_splits(study: "optuna.Study") -> DataSplits | None:
    """Read a study's splits; None in studies that 0.5 has not run."""
    data: Mapping[str, Any] | None = study.user_attrs.get(SPLITS)
    if data is None:
        return None
    return DataSplits(
        int(data["train"]),
        int(data["search"]),
        int(data["test"]),
        SearchSource(data["search_from"]),
        bool(data["weights_given"]),
        CorrectCounts.from_list(data["baseline"]),
    )
