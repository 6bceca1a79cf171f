"""Where data sets come from: registered sources, and folders of images."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...errors import DataError
from ...spaces.given import Given
from ...spaces.registry import Registry
from .folder import load_folder
from .request import DataRequest
from .splits import Splits

__all__ = ["GIVEN", "SOURCES", "DataRequest", "DataSource", "find_data", "load_data"]


@dataclass(frozen=True)
class DataSource:
    """A data set that can be asked for by name.

    Args:
        name: what users type.
        title: one line for listings.
        load: makes the splits; raises DataError if it cannot.
    """

    name: str
    title: str
    load: Callable[[DataRequest], Splits]


SOURCES: Registry[DataSource] = Registry("data set")

GIVEN: Given[DataSource] = Given("data set")
"""Data sets that were given as objects."""


def load_data(request: DataRequest) -> Splits:
    """The data set of that name, else the image folder at that path.

    A registered name wins over a folder of the same name; `./name` means the folder.

    Raises:
        UnknownName: neither, and it does not look like a path.
        DataError: the set cannot be used; the message says why.
    """
    found = find_data(request.name_or_path)
    if isinstance(found, DataSource):
        return found.load(request)
    return load_folder(found, request)


def find_data(name: str) -> DataSource | Path:
    """What a name or path stands for, without reading any image.

    Raises:
        UnknownName, DataError: as `load_data`.
    """
    if given := GIVEN.find(name):
        return given
    if name in SOURCES or not name:
        return SOURCES.get(name)
    path = _expanded(name)
    try:
        if path.is_dir():
            return path
        exists = path.exists()
    except OSError as error:
        raise DataError(
            f"cannot read {error.filename or path}: {error.strerror or error}"
        ) from error
    if exists:
        raise DataError(f"{path} is a file; expected a folder with a folder of images per class")
    if _looks_like_path(name):
        raise DataError(f"no such folder: {path}")
    return SOURCES.get(name)


def _expanded(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError as error:  # a ~user that does not exist
        raise DataError(f"no such folder: {name}") from error


def _looks_like_path(name: str) -> bool:
    separators = {os.sep, os.altsep or os.sep}
    return name[0] in ".~" or any(separator in name for separator in separators)
