"""Data sources: registered data sets, image folders, and the user's functions."""

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
    """A data set that can be requested by name.

    Register an instance with `SOURCES`. `load` is called once in each process that evaluates plans
    or exported files, before any network is built.

    Args:
        name: as users write it.
        title: one line for listings.
        load: returns the splits for a request; raises DataError if it cannot.
    """

    name: str
    title: str
    load: Callable[[DataRequest], Splits]


SOURCES: Registry[DataSource] = Registry("data set")

SESSION_OBJECTS: SessionObjects[DataSource] = SessionObjects("data set")
"""Data sets that were passed as Python objects."""


def load_data(request: DataRequest) -> Splits:
    """Load a registered data set, an image folder, or the data set of a user's function.

    A registered name has precedence over a folder of the same name; `./name` is the folder.
    Functions are named `package.module:function` or `path/to/file.py:function`. In all cases, the
    search split has the requested source: see `split_parts`.

    Raises:
        UnknownName: unknown name that does not look like a path.
        InputError, UserCodeError: the function does not exist, or failed.
        DataError: the data set cannot be used; the message says why.
    """
    source = find_data(request.name_or_path)
    if isinstance(source, DataSource):
        return as_requested(source.load(request), request)
    return as_requested(load_folder(source, request), request)


def find_data(name: str) -> DataSource | Path:
    """Look up a data set without reading images. The file of a user's function is run.

    Returns:
        A source, or the path of an image folder.

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
        return DataSource(own.name, "the user's images", partial(load_own, own))
    if exists:
        raise DataError(f"{path} is a file; expected a folder with a folder of images per class")
    if _looks_like_path(name):
        raise DataError(f"no such folder: {path}")
    return SOURCES.get(name)


def own_data(name: str) -> Reference | None:
    """Parse a data set's name as a reference to a user's function, without running code.

    Returns:
        None if the name is not a reference.

    Raises:
        InputError: a malformed reference.
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
