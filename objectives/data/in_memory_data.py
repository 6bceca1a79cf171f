"""Datasets that were given as objects, where a study wants a data set's name."""

from typing import Any

from ...errors import DataError
from .request import DataRequest
from .sources import SESSION_OBJECTS, DataSource
from .splits import Splits
from .user_datasets import own_splits


def give_data(train: Any, test: Any = None, search: Any = None) -> tuple[str, DataSource]:
    """Name datasets of (image, label).

    Args:
        train, test, search: torch Datasets, or whatever has a length and items; what is None is a
            part of the first.

    Returns:
        The name, and the source that it stands for as long as somebody keeps it.

    Raises:
        DataError: one of them is a name.
    """
    data = {"train": train, "test": test, "search": search}
    data = {part: item for part, item in data.items() if item is not None or part == "train"}
    for part, item in data.items():
        if isinstance(item, str):
            raise DataError(
                f"{part} is {item!r}; a data set by name, as train alone, brings its other parts"
            )
    title = _title(train)

    def load(request: DataRequest) -> Splits:
        return own_splits(title, data, request)

    source = DataSource(title, "datasets of your own", load)
    return SESSION_OBJECTS.add(title, source), source


def _title(data: Any) -> str:
    """What a dataset is called: its class, or that of what it is a part of."""
    while (whole := getattr(data, "dataset", None)) is not None:
        data = whole
    return type(data).__name__
