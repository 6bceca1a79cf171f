"""Decoding of image files to uint8 pixels of one size and number of channels."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from ...errors import DataError
from ...lazy_imports import torch
from .images import available_cpus

Item = TypeVar("Item")
Result = TypeVar("Result")
_AT_ONCE = 64  # images per task: decoding a small image is faster than submitting a task


@dataclass(frozen=True)
class Header:
    """The header of an image file.

    Args:
        width, height: pixels.
        length: file size in bytes.
    """

    width: int
    height: int
    length: int


@dataclass(frozen=True)
class ImageFiles:
    """Image files as an `ImageSource`.

    Args:
        root: the folder to which paths in `identity` are relative.
        files: the images.
        lengths: file sizes in bytes.
        size: side length of the resized images in pixels.
        channels: 1 (grey) or 3 (RGB).
    """

    root: Path
    files: tuple[Path, ...]
    lengths: tuple[int, ...]
    size: int
    channels: int

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.channels, self.size, self.size)

    def __getitem__(self, index: int, /) -> npt.NDArray[np.uint8]:
        with _quiet():
            return decode(self.files[index], self.size, self.channels)

    def identity(self, index: int) -> str:
        return f"{self.files[index].relative_to(self.root).as_posix()} {self.lengths[index]}"


def read_headers(files: Sequence[Path]) -> list[Header]:
    """Read the header of every file.

    Raises:
        DataError: some files are not images; the message has their number and the first ten.
    """
    return _for_each(_header, files)


def decode_parts(source: ImageFiles, parts: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Decode image files into memory, in threads.

    Args:
        source: the files.
        parts: for each part, int64 [N], the indices of its files.

    Returns:
        For each part, uint8 [N, C, size, size].

    Raises:
        DataError: some files cannot be read; the message has their number and the first ten.
    """
    decoded = [np.empty((len(part), *source.shape), dtype=np.uint8) for part in parts]
    places = [
        (images[row], source.files[index])
        for images, part in zip(decoded, parts, strict=True)
        for row, index in enumerate(part.tolist())
    ]

    def fill(place: tuple[npt.NDArray[np.uint8], Path]) -> None:
        image, path = place
        image[...] = decode(path, source.size, source.channels)

    _for_each(fill, places)
    return [torch.from_numpy(images) for images in decoded]


def decode(path: Path, size: int, channels: int) -> npt.NDArray[np.uint8]:
    """Decode an image file to uint8 [channels, size, size]: its central square, resized.

    Equal to resizing the shorter side to `size` and a centre crop. As in torchvision, animations
    are reduced to the first frame, transparency is dropped, and EXIF rotation is not applied.

    Raises:
        DataError: the file cannot be read; the message has its name.
    """
    try:
        with Image.open(path) as opened:
            image = eight_bits(opened).convert("L" if channels == 1 else "RGB")
    except Exception as error:  # Pillow's plugins raise any exception on damaged files
        raise DataError(f"{path}: {_reason(error)}") from error
    pixels = np.asarray(square(image, size), dtype=np.uint8)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _header(path: Path) -> Header:
    try:
        with Image.open(path) as image:
            return Header(image.width, image.height, path.stat().st_size)
    except Exception as error:  # as in decode
        raise DataError(f"{path}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image that Pillow can read"
    return " ".join(str(error).split()) or type(error).__name__


def eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bits; Pillow's own conversion would clip it.

    Raises:
        DataError: floating-point pixels.
    """
    if image.mode == "F":
        raise DataError("expected integer pixels, got floating-point pixels of unknown range")
    if not image.mode.startswith("I"):
        return image
    wide = np.asarray(image).astype(np.int64).clip(0, 65535)
    return Image.fromarray((wide >> 8).astype(np.uint8))


def square(image: Image.Image, size: int) -> Image.Image:
    if image.size == (size, size):
        return image
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BILINEAR, box=box)


def _for_each(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Call work(item) for every item, in threads, and combine all DataErrors into one."""

    def attempt(start: int) -> list[Result | DataError]:
        return [_attempt(work, item) for item in items[start : start + _AT_ONCE]]

    with _quiet(), ThreadPoolExecutor(available_cpus()) as pool:
        chunks = list(pool.map(attempt, range(0, len(items), _AT_ONCE)))
    results: list[Result] = []
    faults: list[DataError] = []
    for result in itertools.chain.from_iterable(chunks):
        if isinstance(result, DataError):
            faults.append(result)
        else:
            results.append(result)
    if faults:
        raise DataError(_all_faults(faults, len(items)))
    return results


def _attempt(work: Callable[[Item], Result], item: Item) -> Result | DataError:
    try:
        return work(item)
    except DataError as error:
        return error


def _all_faults(faults: Sequence[DataError], total: int) -> str:
    first = "".join(f"\n  - {fault}" for fault in faults[:10])
    more = f"\n  and {len(faults) - 10} more" if len(faults) > 10 else ""
    return f"{len(faults)} of {total} images cannot be read:{first}{more}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress Pillow's warnings of unusual metadata, palettes and large images.

    Enter it in the thread that starts the others, because warning filters are process-wide.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
