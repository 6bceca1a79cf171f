"""Train, search and test splits of a data set."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from ...errors import DataError, first_names
from ...lazy_imports import torch
from ..search_source import SearchSource
from .images import ImageSet, SplitOff, digest
from .request import DataRequest
from .transforms import Augmentation, Normalisation

Images = TypeVar("Images", bound=ImageSet)

_TEST_SHARE = 0.2
"""The share of the test split if there is only a training part."""


@dataclass(frozen=True)
class Splits:
    """Three disjoint splits of a data set, with normalisation and augmentation.

    Args:
        train: images for training.
        search: images on which the search evaluates plans.
        test: images on which winners are evaluated once.
        classes: class names, by label.
        name: the name of the data set.
        normalisation: of the network's input.
        augmentation: for training only.
        search_from: the source of the search split; if None, `load_data` detects it.
    """

    train: ImageSet
    search: ImageSet
    test: ImageSet
    classes: tuple[str, ...]
    name: str
    normalisation: Normalisation
    augmentation: Augmentation
    search_from: SearchSource | None = None

    def __post_init__(self) -> None:
        shapes = {part.shape for part in (self.train, self.search, self.test)}
        if len(shapes) > 1:
            raise ValueError(f"expected parts with images of one shape, got {sorted(shapes)}")

    @property
    def channels(self) -> int:
        """1 (grey) or 3 (red, green, blue)."""
        return self.train.shape[0]

    @property
    def size(self) -> int:
        """The side length in pixels."""
        return self.train.shape[-1]

    @property
    def fingerprint(self) -> str:
        """A digest of everything except the name: 16 hexadecimal digits."""
        parts = (part.fingerprint() for part in (self.train, self.search, self.test))
        shown = (repr(self.normalisation), repr(self.augmentation))
        return digest(
            text.encode(errors="surrogateescape") for text in (*parts, *shown, *self.classes)
        )


def split_three(
    images: Images,
    seed: int,
    search_share: float = 0.2,
    test_share: float = 0.2,
    *,
    classes: Sequence[str] | None = None,
) -> tuple[Images, Images, Images]:
    """Split a set into train, search and test, stratified by class.

    Args:
        images: the whole set.
        seed: the seed of the split.
        search_share: the share of the whole set.
        test_share: the share of the whole set.
        classes: class names by label, for errors.

    Raises:
        DataError: a single class, or a class with too few images.
    """
    if min(search_share, test_share) <= 0 or search_share + test_share >= 1:
        raise ValueError(f"shares must be in (0, 1), got {search_share} and {test_share}")
    shares = (test_share, search_share / (1 - test_share))
    _check_counts(images.labels, shares, classes)
    rest, test = _divide(images.labels, torch.arange(len(images)), shares[0], seed)
    indices = (*_divide(images.labels, rest, shares[1], seed), test)
    train, search, test_images = (images.subset(some) for some in indices)
    search.split_off = test_images.split_off = SplitOff(images, train)
    return train, search, test_images


def split_two(
    images: Images,
    seed: int,
    search_share: float = 0.1,
    *,
    classes: Sequence[str] | None = None,
) -> tuple[Images, Images]:
    """Split a set into train and search, for data sets with a test part.

    Arguments and errors as in `split_three`.
    """
    if not 0 < search_share < 1:
        raise ValueError(f"search_share must be in (0, 1), got {search_share}")
    _check_counts(images.labels, (search_share,), classes)
    return _split_off(images, search_share, seed)


def split_parts(
    parts: Mapping[str, Images], request: DataRequest, *, classes: Sequence[str] | None = None
) -> tuple[Images, Images, Images]:
    """Split the parts of a data set into train, search and test, stratified by class.

    A missing search part is 10 % of train or one half of test, as requested. A missing test part is
    20 % of train; if both are missing, each is 20 % of train.

    Args:
        parts: "train", and optionally "search" and "test".
        request: the seed and the requested source of the search split.
        classes: class names by label, for errors.

    Raises:
        DataError: a class with too few images, or an impossible source of the search split.
    """
    train, search, test = parts["train"], parts.get("search"), parts.get("test")
    seed = request.seed
    _check_request(request, _expected_source(parts, request))
    if search is None and test is None:
        return split_three(train, seed, classes=classes)
    if test is None:
        train, test = split_two(train, seed, _TEST_SHARE, classes=classes)
    elif search is None and request.searches_test_part:
        return train, *_halves(test, seed, classes)
    if search is None:
        train, search = split_two(train, seed, classes=classes)
    return train, search, test


def search_source(train: ImageSet, search: ImageSet, test: ImageSet) -> SearchSource:
    """Detect the source of the search split, from the origins of the parts."""
    if search.split_off is None:
        return SearchSource.OWN
    if search.split_off.rest is test:
        return SearchSource.TEST
    if search.split_off.rest is not train:
        return SearchSource.OWN
    return SearchSource.TRAIN if test.split_off is None else SearchSource.WHOLE


def as_requested(splits: Splits, request: DataRequest) -> Splits:
    """Return splits with the requested source of the search split.

    If a search split from the test part is requested but the source has split one off from its
    training part, that is returned to the training part.

    Raises:
        DataError: the requested source is impossible.
    """
    source = splits.search_from or search_source(splits.train, splits.search, splits.test)
    off = splits.search.split_off
    if source is SearchSource.TRAIN and request.searches_test_part and off is not None:
        search, test = _halves(splits.test, request.seed, splits.classes)
        splits = replace(splits, train=off.whole, search=search, test=test)
        source = SearchSource.TEST
    _check_request(request, source)
    # Copies, because a source may cache its splits; `split_off` would keep whole sets in memory.
    search, test = copy.copy(splits.search), copy.copy(splits.test)
    search.split_off = test.split_off = None
    return replace(splits, search=search, test=test, search_from=source)


def _expected_source(parts: Mapping[str, ImageSet], request: DataRequest) -> SearchSource:
    if "search" in parts:
        return SearchSource.OWN
    if "test" not in parts:
        return SearchSource.WHOLE
    return SearchSource.TEST if request.searches_test_part else SearchSource.TRAIN


def _check_request(request: DataRequest, source: SearchSource) -> None:
    """Validate the source of the search split against the request."""
    text = f'search = "{request.search}" in [data]'
    if request.search is None or request.search == source:
        return
    if source is SearchSource.WHOLE and request.search == "test":
        raise DataError(
            f"{text}: the data set has no test part; remove this key (all three splits are then "
            "drawn from the training part), or add a test part"
        )
    if source is not SearchSource.WHOLE:
        raise DataError(f"{text}: the data set has its own search part; remove this key")


def _halves(test: Images, seed: int, classes: Sequence[str] | None) -> tuple[Images, Images]:
    """Split the test part into two halves, search and test; test is not the smaller one.

    Raises:
        DataError: a class has fewer than two images.
    """
    if short := _classes_below(2, test.labels, classes):
        raise DataError(
            f"too few test images: each class needs at least 2, but {short}. One half of them is "
            "the search split, by default if weights are given, because these have seen the "
            'training images; search = "train" in [data] uses training images instead'
        )
    search, rest = _divide(test.labels, torch.arange(len(test)), 0.5, seed)
    ours, theirs = test.subset(search), test.subset(rest)
    ours.split_off = SplitOff(test, theirs)
    return ours, theirs


def _split_off(images: Images, share: float, seed: int) -> tuple[Images, Images]:
    """Split off a share, with its origin recorded. Returns the rest and the share."""
    remaining, taken = _divide(images.labels, torch.arange(len(images)), share, seed)
    rest, part = images.subset(remaining), images.subset(taken)
    part.split_off = SplitOff(images, rest)
    return rest, part


def _divide(
    labels: torch.Tensor, indices: torch.Tensor, share: float, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Split indices by a stratified share. Returns the rest and the share, both ascending."""
    from sklearn.model_selection import train_test_split  # not at the top: takes a second

    remaining, taken = train_test_split(
        indices.numpy(),
        test_size=share,
        stratify=labels[indices].numpy(),
        random_state=seed % 2**32,
    )
    return torch.from_numpy(remaining).sort().values, torch.from_numpy(taken).sort().values


def _check_counts(
    labels: torch.Tensor, shares: Sequence[float], classes: Sequence[str] | None
) -> None:
    count = len(torch.bincount(labels, minlength=len(classes or ())))
    if count < 2:
        raise DataError(f"expected two or more classes, got {count}")
    needed = _needed(shares)
    if short := _classes_below(needed, labels, classes):
        raise DataError(
            f"too few images to split into {len(shares) + 1} parts: each class needs at least "
            f"{needed}, but {short}"
        )


def _classes_below(needed: int, labels: torch.Tensor, classes: Sequence[str] | None) -> str:
    """List the classes with fewer images as text; empty if there are none."""
    counts = torch.bincount(labels, minlength=len(classes or ())).tolist()
    names = classes or [str(label) for label in range(len(counts))]
    short = [
        f"class {name!r} has {count}"
        for name, count in zip(names, counts, strict=True)
        if count < needed
    ]
    return first_names(short, 10) if short else ""


def _needed(shares: Sequence[float]) -> int:
    """Compute the number of images per class so that each part gets one.

    A stratified split takes floor(share * count) images of a class, or one more.
    """

    def enough(count: int) -> bool:
        for share in shares:
            if count * share < 1 - 1e-9:
                return False
            count -= math.floor(count * share + 1e-9) + 1
        return count >= 1

    return next(count for count in itertools.count(2) if enough(count))
