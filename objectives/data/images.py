"""Sets of labelled images, in memory or decoded from files on demand."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from ...errors import DataError
from ...lazy_imports import torch

Batch: TypeAlias = "tuple[torch.Tensor, torch.Tensor]"
Indices: TypeAlias = "Sequence[int] | torch.Tensor"


@dataclass(frozen=True)
class SplitOff:
    """The origin of a set that was split off at random.

    Attributes:
        whole: the set before the split.
        rest: the other part.
    """

    whole: ImageSet
    rest: ImageSet


class ImageSet(ABC):
    """Base class of sets of labelled images of one size.

    Attributes:
        labels: int64 [N], the class of each image.
        shape: (C, H, W) of every image.
        split_off: the origin of a set that was split off from another; None for others.
    """

    labels: torch.Tensor
    shape: tuple[int, int, int]
    split_off: SplitOff | None = None
    _fingerprint: str | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self)} of {'x'.join(map(str, self.shape))}>"

    def batches(
        self, batch_size: int, *, shuffle: torch.Generator | None = None, drop_last: bool = False
    ) -> Iterator[Batch]:
        """Yield every image once, in batches of (uint8 [B, C, H, W], int64 [B]).

        Args:
            batch_size: B; the last batch may be smaller.
            shuffle: generator of the order, used when this method is called; None keeps the order.
            drop_last: omit the last batch if it is smaller.

        Raises:
            DataError: an image cannot be read; the message has its name.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        order = _order(len(self), shuffle)
        least = batch_size if drop_last else 1
        chunks = torch.split(order, batch_size)
        return self._read([chunk for chunk in chunks if len(chunk) >= least])

    def fingerprint(self) -> str:
        """Return a digest of the content, 16 hexadecimal digits; cached."""
        if self._fingerprint is None:
            self._fingerprint = digest(self._content())
        return self._fingerprint

    @abstractmethod
    def subset(self, indices: Indices) -> Self:
        """Return the images at these indices, in this order."""

    @abstractmethod
    def _read(self, chunks: Sequence[torch.Tensor]) -> Iterator[Batch]:
        """Yield one batch per chunk of indices, int64 [B]."""

    @abstractmethod
    def _content(self) -> Iterator[bytes | memoryview]:
        """Yield the data from which the fingerprint is computed."""


class MemoryImages(ImageSet):
    """Images held in memory.

    Args:
        images: uint8 [N, C, H, W]; must not be changed afterwards.
        labels: integers [N].
    """

    def __init__(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        if images.dtype != torch.uint8 or images.ndim != 4:
            raise ValueError(
                f"expected images of uint8 [N, C, H, W], got {images.dtype} {list(images.shape)}"
            )
        if labels.shape != images.shape[:1]:
            raise ValueError(f"expected labels [{len(images)}], got {list(labels.shape)}")
        self.images, self.labels = images, labels.to(torch.int64)
        _, channels, height, width = images.shape
        self.shape = (channels, height, width)

    def subset(self, indices: Indices) -> Self:
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        return type(self)(self.images[chosen], self.labels[chosen])

    def _read(self, chunks: Sequence[torch.Tensor]) -> Iterator[Batch]:
        for chunk in chunks:
            yield self.images[chunk], self.labels[chunk]

    def _content(self) -> Iterator[bytes | memoryview]:
        yield f"memory {list(self.images.shape)}".encode()
        yield self.labels.cpu().numpy().tobytes()
        yield self.images.cpu().reshape(-1).numpy().data


class ImageSource(Protocol):
    """Images that are decoded on access. Must be picklable, for worker processes."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""

    def __getitem__(self, index: int, /) -> npt.NDArray[np.uint8]:
        """Return the pixels [C, H, W]. Raises DataError with the image's name if unreadable."""

    def identity(self, index: int) -> str:
        """Return a text that identifies the image's content without decoding it."""


class StreamedImages(ImageSet):
    """Images decoded batch by batch in worker processes, for sets too large for memory.

    Args:
        source: the images.
        labels: integers, one for each image of the source.
        indices: the images of the source that belong to this set; all if None.
        workers: number of processes; 0 decodes in this process; by default min(4, CPUs).
    """

    def __init__(
        self,
        source: ImageSource,
        labels: torch.Tensor,
        indices: Indices | None = None,
        workers: int | None = None,
    ) -> None:
        every = torch.arange(len(labels)) if indices is None else indices
        self.source, self.all_labels = source, labels.to(torch.int64)
        self.indices = torch.as_tensor(every, dtype=torch.int64)
        self.labels, self.shape = self.all_labels[self.indices], source.shape
        self.workers = min(4, available_cpus()) if workers is None else workers

    def subset(self, indices: Indices) -> Self:
        chosen = self.indices[torch.as_tensor(indices, dtype=torch.int64)]
        return type(self)(self.source, self.all_labels, chosen, self.workers)

    def _read(self, chunks: Sequence[torch.Tensor]) -> Iterator[Batch]:
        from torch.utils.data import DataLoader, Dataset

        # Any object with `__getitem__` is a valid data set for the DataLoader.
        decoder = cast("Dataset[npt.NDArray[np.uint8] | str]", _Decoder(self.source))
        loader = DataLoader(
            decoder,
            batch_size=None,  # one item of the data set is a whole batch
            sampler=[self.indices[chunk].tolist() for chunk in chunks],
            num_workers=min(self.workers, len(chunks)),
            collate_fn=_as_is,
            # Without a generator, the loader would draw a seed from the global one.
            generator=torch.Generator(),
        )
        for chunk, pixels in zip(chunks, loader, strict=True):
            if isinstance(pixels, str):
                raise DataError(pixels)
            yield torch.from_numpy(pixels), self.labels[chunk]

    def _content(self) -> Iterator[bytes | memoryview]:
        yield f"streamed {len(self)} {list(self.shape)}".encode()
        yield self.labels.numpy().tobytes()
        for index in self.indices.tolist():
            yield self.source.identity(index).encode(errors="surrogateescape")


class _Decoder:
    """Decodes batches: uint8 [B, C, H, W], or the message of an error.

    Returns arrays, because tensors would be passed in shared memory, of which containers have
    little. Returns messages, because the loader replaces the message of a worker's exception by a
    traceback.
    """

    def __init__(self, source: ImageSource) -> None:
        self.source = source

    def __getitem__(self, indices: list[int]) -> npt.NDArray[np.uint8] | str:
        try:
            return np.stack([self.source[index] for index in indices])
        except DataError as error:
            return str(error)


def available_cpus() -> int:
    """Return the number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def digest(parts: Iterable[bytes | memoryview]) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of the parts, which depends on their lengths."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "little"))
        total.update(part)
    return total.hexdigest()[:16]


def _order(count: int, shuffle: torch.Generator | None) -> torch.Tensor:
    if shuffle is None:
        return torch.arange(count)
    return torch.randperm(count, generator=shuffle, device=shuffle.device).cpu()


def _as_is(item: object) -> object:
    return item
