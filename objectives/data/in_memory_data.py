"""Data sets that are passed as Python objects, under generated names."""

from typing import Any

from ...errors import DataError
from .request import DataRequest
from .sources import SESSION_OBJECTS, DataSource
from .splits import Splits
from .user_datasets import own_splits


def give_data(train: Any, test: Any = None, search: Any = None) -> tuple[str, DataSource]:
    """Register data sets of (image, label) under a generated name.

    Args:
        train, test, search: torch Datasets, or objects with `__len__` and `__getitem__`; None is
            split off from another part (`split_parts`).

    Returns:
        The name, and the source. The name is valid as long as the caller references the source.

    Raises:
        DataError: a part is a name.
    """
    data = {"train": train, "test": test, "search": search}
    data = {part: item for part, item in data.items() if item is not None or part == "train"}
    for part, item in data.items():
        if isinstance(item, str):
            raise DataError(
                f"expected a data set as {part}, got the name {item!r}; pass a name as train only, "
                "without other parts"
            )
    title = _title(train)

    def load(request: DataRequest) -> Splits:
        return own_splits(title, data, request)

    source = DataSource(title, "the user's data sets", load)
    return SESSION_OBJECTS.add(title, source), source


def _title(data: Any) -> str:
    """Return the class name of a data set, or of the set of which it is a subset."""
    while (whole := getattr(data, "dataset", None)) is not None:
        data = whole
    return type(data).__name__
