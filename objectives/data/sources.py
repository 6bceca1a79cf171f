"""Where data sets come from: registered sources, folders of images, and functions of the user's."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...errors import DataError
from ...references import Reference, is_reference
from ...registry import Registry
from ...spaces.models.in_memory import SessionObjects
from .folder import load_folder
from .request import DataRequest
from .splits import Splits, as_requested
from .user_datasets import load_own

__all__ = ["SESSION_OBJECTS", "SOURCES", "DataRequest", "DataSource", "find_data", "load_data"]


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

SESSION_OBJECTS: SessionObjects[DataSource] = SessionObjects("data set")
"""Data sets that were given as objects."""


def load_data(request: DataRequest) -> Splits:
    """The data set of that name, else the image folder at that path, else what a function gives.

    A registered name wins over a folder of the same name; `./name` means the folder. A function
    is named as in `package.module:function` or `path/to/file.py:function`. Whatever it is, the
    search images come from where the request wants them: see `split_parts`.

    Raises:
        UnknownName: none of them, and it does not look like a path.
        InputError, UserCodeError: the function is not there, or failed.
        DataError: the set cannot be used; the message says why.
    """
    source = find_data(request.name_or_path)
    if isinstance(source, DataSource):
        return as_requested(source.load(request), request)
    return as_requested(load_folder(source, request), request)


def find_data(name: str) -> DataSource | Path:
    """What a name or path stands for, without reading any image. A function's file is run.

    Raises:
        UnknownName, InputError: as `load_data`.
    """
    if provided := SESSION_OBJECTS.find(name):
        return provided
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
    if own := own_data(name):
        own.load()
        return DataSource(own.name, "images of your own", partial(load_own, own))
    if exists:
        raise DataError(f"{path} is a file; expected a folder with a folder of images per class")
    if _looks_like_path(name):
        raise DataError(f"no such folder: {path}")
    return SOURCES.get(name)


def own_data(name: str) -> Reference | None:
    """What a data set's name refers to if it is a function of the user's; nothing is run.

    Raises:
        InputError: it is meant as a reference and is none.
    """
    if name in SOURCES or not is_reference(name) or _expanded(name).is_dir():
        return None
    return Reference.parse(name)


def _expanded(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError as error:  # a ~user that does not exist
        raise DataError(f"no such folder: {name}") from error


def _looks_like_path(name: str) -> bool:
    separators = {os.sep, os.altsep or os.sep}
    return name[0] in ".~" or any(separator in name for separator in separators)
