"""Datasets that were given as objects, where a study wants a data set's name."""

from collections.abc import Sized
from typing import Any

from ...errors import DataError
from .datasets import splits_of
from .request import DataRequest
from .sources import GIVEN, DataSource
from .splits import Splits


def give_data(train: Any, test: Any = None, search: Any = None) -> tuple[str, DataSource]:
    """Name datasets of (image, label).

    Args:
        train, test, search: torch Datasets; without the last two, they are parts of the first.

    Returns:
        The name, and the source that it stands for as long as somebody keeps it.

    Raises:
        DataError: one of them is no such dataset.
    """
    for part, one in (("train", train), ("test", test), ("search", search)):
        if (one is not None or part == "train") and not _is_dataset(one):
            raise DataError(
                f"{part}: expected a torch Dataset of (image, label) with a length, got {one!r}"
            )

    def load(request: DataRequest) -> Splits:
        return splits_of(train, test, search, request)

    title = type(train).__name__
    source = DataSource(title, "datasets of your own", load)
    return GIVEN.add(title, source), source


def _is_dataset(one: object) -> bool:
    return hasattr(one, "__getitem__") and isinstance(one, Sized) and not isinstance(one, str)
