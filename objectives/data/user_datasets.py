"""The user's data sets, as objects or returned by a function."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ...errors import DataError, first_names
from ...lazy_imports import torch
from ...references import Reference, call, user_code
from .images import ImageSet, MemoryImages, StreamedImages
from .read_item import Pixels, read_item, to_channels_of_one
from .request import DataRequest
from .splits import Splits, split_parts
from .transforms import GREY, IMAGENET, any_augmentation

_ORDER = ("train", "test", "search")
_ALSO_SEARCH = ("val", "valid", "validation")
_READ_TWICE = 16
"""Number of items: a random flip goes undetected in one of 65,536 data sets."""
_SHOWN = 10


def load_own(reference: Reference, request: DataRequest) -> Splits:
    """Load the data set that a user's function returns as train, search and test split.

    The function is called without arguments and returns (train, test), (train, test, search) or a
    dictionary with these keys. Each part has `__len__` and `__getitem__`, with items (image,
    label). Missing parts are split off: see `split_parts`. Images of one square size keep it. Every
    item is read once at the start, for its label and for the fingerprint. Images are held in memory
    if the request's limit allows; otherwise they are read from the data set on demand, in this
    process.

    Raises:
        InputError: the function does not exist, or has required arguments.
        UserCodeError: the function, or reading an item, failed.
        DataError: the returned data cannot be used; the message says what to do.
    """
    returned = call(reference.load(), reference.name, {}, "")
    return own_splits(reference.name, _named(reference, returned), request)


def own_splits(name: str, data: Mapping[str, Any], request: DataRequest) -> Splits:
    """Load data sets as train, search and test split; see `load_own`.

    Args:
        name: the name of the data set.
        data: as in `fitted_parts`.
        request: size, channels, split and augmentation.

    Raises:
        UserCodeError, DataError: as `load_own`.
    """
    parts, classes = fitted_parts(data, request)
    channels, size, _ = parts[0].shape
    return Splits(
        *parts,
        classes=classes,
        name=name,
        normalisation=request.normalisation(GREY if channels == 1 else IMAGENET, channels),
        augmentation=request.augmentation(any_augmentation(size), size),
    )


def fitted_parts(
    data: Mapping[str, Any], request: DataRequest
) -> tuple[tuple[ImageSet, ImageSet, ImageSet], tuple[str, ...]]:
    """Read data sets as train, search and test at one size, and the names of the classes.

    Args:
        data: "train" and optionally "test" and "search": sets of (image, label). Missing parts are
            split off: see `split_parts`.
        request: size, channels and split.

    Raises:
        UserCodeError, DataError: as `load_own`.
    """
    parts = {name: _Part(name, item, request) for name, item in data.items()}
    read = {name: part.read() for name, part in parts.items()}
    classes = _classes(parts, read)
    size, channels = _shape(read, request)
    count = sum(len(item.labels) for item in read.values())
    fits = count * channels * size**2 <= request.max_memory_bytes
    images = {
        name: item.in_memory(channels) if fits else item.streamed(parts[name], channels, size)
        for name, item in read.items()
    }
    return split_parts(images, request, classes=classes), classes


def _named(reference: Reference, returned: object) -> dict[str, Any]:
    """Return the parts by name."""
    if isinstance(returned, Mapping):
        parts = {
            "search" if key in _ALSO_SEARCH else str(key): item for key, item in returned.items()
        }
        known = set(parts) <= set(_ORDER) and len(parts) == len(returned)
        if known and {"train", "test"} <= set(parts):
            return {name: parts[name] for name in _ORDER if name in parts}
        came = f"a dictionary with {', '.join(map(str, returned)) or 'nothing'}"
    elif isinstance(returned, tuple | list) and len(returned) in (2, 3):
        return dict(zip(_ORDER, returned, strict=False))
    else:
        many = f" of {len(returned)}" if isinstance(returned, tuple | list) else ""
        came = "nothing" if returned is None else f"a {type(returned).__name__}{many}"
    raise DataError(
        f"{reference.name} returned {came}; expected (train, test), or (train, test, search), or "
        "a dictionary with these names"
    )


@dataclass(frozen=True)
class _Read:
    """The result of reading all items of a part.

    Attributes:
        labels: the label of each item.
        shapes: (C, H, W) -> the first item with that shape.
        digests: a digest of each image's pixels.
        pixels: the images; empty if they exceed the memory limit.
    """

    labels: list[int]
    shapes: dict[tuple[int, ...], int]
    digests: list[str]
    pixels: list[Pixels]

    def in_memory(self, channels: int) -> ImageSet:
        images = np.stack([to_channels_of_one(item, channels) for item in self.pixels])
        return MemoryImages(torch.from_numpy(images), torch.tensor(self.labels))

    def streamed(self, part: _Part, channels: int, size: int) -> ImageSet:
        source = _Source(part, (channels, size, size), self.digests)
        # The data set may not be picklable (open files, classes of a script), so no workers.
        return StreamedImages(source, torch.tensor(self.labels), workers=0)


class _Part:
    """A part of a user's data set.

    Args:
        name: "train", "test" or "search".
        data: the data set.
        request: size and channels.
    """

    def __init__(self, name: str, data: Any, request: DataRequest) -> None:
        self.name, self.data, self.request = name, data, request
        type_name = type(data).__name__
        if isinstance(data, torch.utils.data.DataLoader):
            raise DataError(f"{name} is a DataLoader; return its data set (.dataset) instead")
        try:
            self.length = len(data)
        except (TypeError, NotImplementedError):
            raise DataError(
                f"{name}, a {type_name}, has no length; expected a data set with __len__ and "
                "__getitem__ (convert a stream that fits in memory with list(...))"
            ) from None
        if not hasattr(data, "__getitem__"):
            raise DataError(
                f"{name}, a {type_name}, has no __getitem__; expected a data set with __len__ and "
                "__getitem__"
            )
        if not self.length:
            raise DataError(f"{name} has no images")

    def item(self, index: int, channels: int | None, size: int | None) -> tuple[Pixels, int]:
        """Read an item: uint8 [C, H, W] and its label.

        Raises:
            UserCodeError, DataError: the item cannot be read, or has an unsupported type.
        """
        subject = f"item {index} of {self.name}"
        with user_code(f"reading {subject}"):
            item = self.data[index]
        try:
            return read_item(item, size, channels)
        except DataError as error:
            raise DataError(f"{subject} {error}") from None

    def read(self) -> _Read:
        """Read all items."""
        self._check_steady()
        wanted = self.request
        labels, digests, shapes = list[int](), list[str](), dict[tuple[int, ...], int]()
        pixels, held = list[Pixels](), 0
        for index in range(self.length):
            image, label = self.item(index, wanted.channels, wanted.size)
            labels.append(label)
            shapes.setdefault(image.shape, index)
            digests.append(hashlib.sha256(image.tobytes()).hexdigest()[:32])
            held += image.size
            if held <= wanted.max_memory_bytes:
                pixels.append(image.copy())  # some data sets return views of a reused buffer
            else:
                pixels.clear()
        return _Read(labels, shapes, digests, pixels)

    def _check_steady(self) -> None:
        """Validate that items are equal when they are read twice."""
        for index in range(min(_READ_TWICE, self.length)):
            wanted = self.request
            pair, again = (self.item(index, wanted.channels, wanted.size) for _ in range(2))
            if pair[1] != again[1] or not np.array_equal(pair[0], again[0]):
                raise DataError(
                    f"item {index} of {self.name} differs each time it is read: remove random "
                    "changes from the data set; use crop and flip in [data] instead"
                )

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The class names of the data set, or of the set of which it is a subset."""
        data = self.data
        while data is not None:
            names = getattr(data, "classes", None)
            if isinstance(names, Sequence) and not isinstance(names, str):
                return tuple(map(str, names))
            data = getattr(data, "dataset", None)
        return None


@dataclass(frozen=True)
class _Source:
    """A part as an `ImageSource`."""

    part: _Part
    shape: tuple[int, int, int]
    digests: Sequence[str]

    def __getitem__(self, index: int, /) -> Pixels:
        channels, size, _ = self.shape
        return self.part.item(index, channels, size)[0]

    def identity(self, index: int) -> str:
        return self.digests[index]


def _classes(parts: Mapping[str, _Part], read: Mapping[str, _Read]) -> tuple[str, ...]:
    """Return the class names, validated against all labels."""
    there = {name: set(item.labels) for name, item in read.items()}
    count = 1 + max(max(labels) for labels in there.values())
    names = parts["train"].classes
    if names is not None and count > len(names):
        raise DataError(
            f"there is a label {count - 1}, but train has names for {len(names)} classes "
            f"({first_names(names, _SHOWN)}); labels start at 0"
        )
    known = names or tuple(map(str, range(count)))
    if len(known) < 2:
        raise DataError("expected two or more classes, but all labels are 0")
    missing = [known[label] for label in range(len(known)) if label not in there["train"]]
    if missing and not any(labels - there["train"] for labels in there.values()):
        raise DataError(
            f"train has no images of class {first_names(missing, _SHOWN)}; expected images with "
            f"each label from 0 to {len(known) - 1}"
        )
    for name, labels in there.items():
        only = {
            "train": sorted(there["train"] - labels),
            name: sorted(labels - there["train"]),
        }
        reported = [
            f"only in {part}: {first_names([known[label] for label in some], _SHOWN)}"
            for part, some in only.items()
            if some
        ]
        if reported:
            raise DataError(f"the classes of train and {name} differ: {'; '.join(reported)}")
    return known


def _shape(read: Mapping[str, _Read], request: DataRequest) -> tuple[int, int]:
    """Return the side length and the channels of all images."""
    places = [
        (shape, f"item {index} of {name}")
        for name, item in read.items()
        for shape, index in item.shapes.items()
    ]
    for (pair, where), (other, there) in pairwise(places):
        if pair[1:] != other[1:]:
            raise DataError(
                f"images differ in size: {where} has {_sides(pair)} pixels, {there} "
                f"{_sides(other)}; set size = N in [data], the side length to resize all images to"
            )
    _, height, width = places[0][0]
    if height != width:
        raise DataError(
            f"images of {_sides(places[0][0])} pixels (width x height) are not square; set "
            "size = N in [data], the side length to resize their central squares to"
        )
    return height, request.channels or max(shape[0] for shape, _ in places)


def _sides(shape: Sequence[int]) -> str:
    return f"{shape[2]}x{shape[1]}"
