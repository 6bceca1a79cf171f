"""Which images a study's splits are, and whether the baseline knows those of the search."""

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
"""Percentage points: a difference of accuracies below is less than what budgets are about."""

_FROM = {
    SearchSource.OWN: " (a part of its own) and {test:,} test images",
    SearchSource.TRAIN: " (from the training images{seen}) and {test:,} test images",
    SearchSource.TEST: " and {test:,} test images (halves of the test images{unseen})",
    SearchSource.WHOLE: " and {test:,} test images (all drawn from one set)",
}

_REMEDY = {
    SearchSource.OWN: 'leave the search part out of the data, and say search = "test" in [data]',
    SearchSource.TRAIN: 'begin another study with search = "test" in [data]',
}
"""What to do where the search images may be others than the test images. Halves of one set, drawn
at random, differ by chance alone."""


_IN_WORDS = {
    SearchSource.OWN: "a part of the data's own",
    SearchSource.TRAIN: "some of the training images",
    SearchSource.TEST: "half of the test images",
    SearchSource.WHOLE: "drawn from one set with all others",
}


@dataclass(frozen=True)
class DataSplits:
    """How many images each split has, and where those of the search come from.

    Attributes:
        train, search, test: how many.
        search_from: where the search images come from.
        weights_given: whether the baseline came with weights.
        baseline: its answers on the search split; None if it was not scored yet.
    """

    train: int
    search: int
    test: int
    search_from: SearchSource
    weights_given: bool
    baseline: CorrectCounts | None = None

    @classmethod
    def of(cls, task: "Task") -> "DataSplits":
        """Those of a task."""
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
        """JSON-ready: the sizes, and where the search images come from."""
        sizes = {"train": self.train, "search": self.search, "test": self.test}
        return sizes | {"search_from": str(self.search_from), "text": self.text}

    def gap(self, test: CorrectCounts | None) -> "Gap | None":
        """How much better the baseline is on the search split than on the test split.

        Args:
            test: its answers on the test split, if that was looked at.
        """
        if self.baseline is None or test is None:
            return None
        return Gap(UnpairedDifference(self.baseline, test), self.search_from)


@dataclass(frozen=True)
class Gap:
    """The baseline's accuracy on the search split beside that on the test split.

    Attributes:
        difference: of the two.
        search_from: where the search images come from.
    """

    difference: UnpairedDifference
    search_from: SearchSource

    @property
    def stands_out(self) -> bool:
        """Whether the search images are easier for the baseline, by more than chance explains.

        The whole 95 % interval lies above 0, and the difference is above one percentage point.
        """
        low, _ = self.difference.interval
        is_large = self.difference.points > _MATTERS and low > 0
        return is_large and self.search_from in _REMEDY

    @property
    def text(self) -> str:
        """What there is to say of a gap that stands out, and what to do."""
        low, high = self.difference.interval
        return (
            f"The baseline has {self.difference.first.accuracy:.2f} % on the search images and "
            f"{self.difference.second.accuracy:.2f} % on the test images, "
            f"{self.difference.points:.2f} points less (95 % interval {low:.2f} to {high:.2f}): "
            "drops that the search saw are likely to be smaller than those on new images. To "
            f"search on images like the test images, {_REMEDY[self.search_from]}"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; accuracies in percent, the rest in percentage points."""
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
    """Where 0.4 took the search images from, where they come from `now`: never from the test part.

    What it did not keep differs from now only there.
    """
    return SearchSource.TRAIN if now == SearchSource.TEST else now


def in_words(source: object) -> str:
    """What the search images are, after "are"."""
    return "not known" if source is None else _IN_WORDS[SearchSource(str(source))]


def how_to_go_on(source: str | None) -> str:
    """How to ask for a study whose search images come from there; empty if it cannot be said."""
    if source not in (SearchSource.TRAIN, SearchSource.TEST):
        return ""
    return f'say search = "{source}" in [data] to go on with it, or '


def write_data_splits(study: "optuna.Study", splits: DataSplits, baseline: CorrectCounts) -> None:
    """Keep with a study which images its splits are, and what the baseline gets right of them."""
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
    """What a study keeps of its splits; None in studies that 0.5 has not run."""
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
