"""Image folders as data sets: class folders, or train/ and test/ with class folders inside."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...lazy_imports import torch
from .decoding import Header, ImageFiles, decode_parts, read_headers
from .images import MemoryImages, StreamedImages
from .layout import WHOLE, Listing, find_images
from .request import DataRequest
from .splits import Splits, search_source, split_parts
from .transforms import GREY, IMAGENET, any_augmentation

_LARGEST_OWN_SIZE = 128
_USUAL_SIZE = 224


def load_folder(root: Path, request: DataRequest) -> Splits:
    """Load an image folder as train, search and test split.

    train/, test/ and search/ (or val/) are used as they are. A missing search part is split off
    from another part: see `split_parts`. A folder with only class folders is split 60/20/20.
    Images are resized to the requested size. Without one, images of one square size up to 128
    pixels keep it, and others are resized to 224 pixels. They are held in memory if the request's
    limit allows.

    Raises:
        DataError: files are missing, damaged or too few; the message lists them.
    """
    listings = find_images(root)
    files = tuple(file for listing in listings.values() for file in listing.files)
    headers = read_headers(files)
    source = ImageFiles(
        root=root,
        files=files,
        lengths=tuple(header.length for header in headers),
        size=request.size or _own_size(headers),
        channels=request.channels or 3,
    )
    streamed = _split(listings, source, request)
    fits = len(files) * math.prod(source.shape) <= request.max_memory_bytes
    train, search, test = _in_memory(source, streamed) if fits else streamed
    return Splits(
        train=train,
        search=search,
        test=test,
        classes=next(iter(listings.values())).classes,
        name=root.resolve().name,
        normalisation=request.normalisation(
            GREY if source.channels == 1 else IMAGENET, source.channels
        ),
        augmentation=request.augmentation(any_augmentation(source.size), source.size),
        search_from=search_source(*streamed),
    )


def _own_size(headers: Sequence[Header]) -> int:
    sizes = {(header.width, header.height) for header in headers}
    width, height = sizes.pop()
    own = not sizes and width == height <= _LARGEST_OWN_SIZE
    return width if own else _USUAL_SIZE


def _split(
    listings: Mapping[str, Listing], source: ImageFiles, request: DataRequest
) -> tuple[StreamedImages, StreamedImages, StreamedImages]:
    labels = torch.tensor([label for each in listings.values() for label in each.labels])
    everything = StreamedImages(source, labels)
    counts = [len(each.files) for each in listings.values()]
    indices = torch.split(torch.arange(len(labels)), counts)
    parts = {
        name: everything.subset(chosen) for name, chosen in zip(listings, indices, strict=True)
    }
    classes = next(iter(listings.values())).classes
    if WHOLE in parts:
        parts = {"train": parts[WHOLE]}
    return split_parts(parts, request, classes=classes)


def _in_memory(source: ImageFiles, parts: Sequence[StreamedImages]) -> list[MemoryImages]:
    pixels = decode_parts(source, [part.indices for part in parts])
    return [MemoryImages(images, part.labels) for images, part in zip(pixels, parts, strict=True)]
