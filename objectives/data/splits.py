"""The three parts of a data set, and how a set is split into them."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from ...errors import DataError, first_names
from .images import ImageSet, digest
from .transforms import Augmentation, Normalisation

Images = TypeVar("Images", bound=ImageSet)


@dataclass(frozen=True)
class Splits:
    """Images in three parts that share none, and how to show them to a network.

    Args:
        train: what networks learn from.
        search: scores plans.
        test: looked at once, for winners.
        classes: names, by label.
        name: of the data set.
        normalisation: what the network expects.
        augmentation: for training only.
    """

    train: ImageSet
    search: ImageSet
    test: ImageSet
    classes: tuple[str, ...]
    name: str
    normalisation: Normalisation
    augmentation: Augmentation

    def __post_init__(self) -> None:
        shapes = {part.shape for part in (self.train, self.search, self.test)}
        if len(shapes) > 1:
            raise ValueError(f"the parts differ in shape: {sorted(shapes)}")

    @property
    def channels(self) -> int:
        """1 (grey) or 3 (red, green, blue)."""
        return self.train.shape[0]

    @property
    def size(self) -> int:
        """The side in pixels."""
        return self.train.shape[-1]

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that stand for all of it but the name."""
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
    """Split into train, search and test; each part has every class in its proportion.

    Args:
        images: the whole set.
        seed: decides which image goes where.
        search_share: of the whole.
        test_share: of the whole.
        classes: names by label, for errors.

    Raises:
        DataError: one class only, or a class with too few images.
    """
    if min(search_share, test_share) <= 0 or search_share + test_share >= 1:
        raise ValueError(f"shares must be in (0, 1), got {search_share} and {test_share}")
    shares = (test_share, search_share / (1 - test_share))
    _check_counts(images.labels, shares, classes)
    rest, test = _divide(images.labels, torch.arange(len(images)), shares[0], seed)
    train, search = _divide(images.labels, rest, shares[1], seed)
    return images.subset(train), images.subset(search), images.subset(test)


def split_two(
    images: Images,
    seed: int,
    search_share: float = 0.1,
    *,
    classes: Sequence[str] | None = None,
) -> tuple[Images, Images]:
    """Split into train and search, for sets that bring their own test part.

    Arguments and errors are those of `split_three`.
    """
    if not 0 < search_share < 1:
        raise ValueError(f"search_share must be in (0, 1), got {search_share}")
    _check_counts(images.labels, (search_share,), classes)
    train, search = _divide(images.labels, torch.arange(len(images)), search_share, seed)
    return images.subset(train), images.subset(search)


def _divide(
    labels: torch.Tensor, indices: torch.Tensor, share: float, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The indices without and with the stratified share, both ascending."""
    from sklearn.model_selection import train_test_split  # here: takes a second to import

    kept, taken = train_test_split(
        indices.numpy(),
        test_size=share,
        stratify=labels[indices].numpy(),
        random_state=seed % 2**32,
    )
    return torch.from_numpy(kept).sort().values, torch.from_numpy(taken).sort().values


def _check_counts(
    labels: torch.Tensor, shares: Sequence[float], classes: Sequence[str] | None
) -> None:
    counts = torch.bincount(labels, minlength=len(classes or ())).tolist()
    names = classes or [str(label) for label in range(len(counts))]
    if len(counts) < 2:
        raise DataError(f"a classifier needs two classes or more, got {len(counts)}")
    needed = _needed(shares)
    short = [
        f"class {name!r} has {count}"
        for name, count in zip(names, counts, strict=True)
        if count < needed
    ]
    if short:
        raise DataError(
            f"too few images to split into {len(shares) + 1} parts: each class needs at least "
            f"{needed}, but {first_names(short, 10)}"
        )


def _needed(shares: Sequence[float]) -> int:
    """The images a class needs so that each part gets one.

    A stratified draw takes floor(share * count) images of a class, or one more.
    """

    def enough(count: int) -> bool:
        for share in shares:
            if count * share < 1 - 1e-9:
                return False
            count -= math.floor(count * share + 1e-9) + 1
        return count >= 1

    return next(count for count in itertools.count(2) if enough(count))
