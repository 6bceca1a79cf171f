"""Sets of labelled images, in memory or decoded from files as they are needed."""

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
    """What a set was split off from at random.

    Attributes:
        whole: the set before the split.
        rest: what was left of it.
    """

    whole: ImageSet
    rest: ImageSet


class ImageSet(ABC):
    """A labelled set of images, all of one size.

    Attributes:
        labels: int64 [N], the class of each image.
        shape: (C, H, W) of every image.
        split_off: where the set was split off from another one, which that was.
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
        """Every image once, as (uint8 [B, C, H, W], int64 [B]).

        Args:
            batch_size: B; the last batch may be smaller.
            shuffle: draws the order, here and now; without it the images come in order.
            drop_last: leave a smaller last batch out.

        Raises:
            DataError: an image cannot be read; it is named.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        order = _order(len(self), shuffle)
        least = batch_size if drop_last else 1
        chunks = torch.split(order, batch_size)
        return self._read([chunk for chunk in chunks if len(chunk) >= least])

    def fingerprint(self) -> str:
        """16 hexadecimal digits that stand for the content; computed once, then remembered."""
        if self._fingerprint is None:
            self._fingerprint = digest(self._content())
        return self._fingerprint

    @abstractmethod
    def subset(self, indices: Indices) -> Self:
        """The images at these positions, in this order."""

    @abstractmethod
    def _read(self, chunks: Sequence[torch.Tensor]) -> Iterator[Batch]:
        """One batch per chunk; a chunk is int64 [B], the positions of its images."""

    @abstractmethod
    def _content(self) -> Iterator[bytes | memoryview]:
        """What the fingerprint is taken of."""


class MemoryImages(ImageSet):
    """Images held in memory.

    Args:
        images: uint8 [N, C, H, W]; not to be changed afterwards.
        labels: integers [N].
    """

    def __init__(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        if images.dtype != torch.uint8 or images.ndim != 4:
            raise ValueError(
                f"images must be uint8 [N, C, H, W], got {images.dtype} {list(images.shape)}"
            )
        if labels.shape != images.shape[:1]:
            raise ValueError(f"{len(images)} images need as many labels, got {list(labels.shape)}")
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
    """Images that are decoded when asked for. Must be picklable: it goes to worker processes."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""

    def __getitem__(self, index: int, /) -> npt.NDArray[np.uint8]:
        """The pixels [C, H, W]. Raises DataError, naming the image, if it cannot be read."""

    def identity(self, index: int) -> str:
        """What tells this image from another one without decoding it."""


class StreamedImages(ImageSet):
    """Images decoded batch by batch in worker processes, for sets too large for memory.

    Args:
        source: the images.
        labels: integers, one for each image of the source.
        indices: which images of the source belong to this set; all of them if None.
        workers: processes; 0 decodes in this one; by default min(4, CPUs).
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

        # By PyTorch's documentation what has `__getitem__` is a data set.
        decoder = cast("Dataset[npt.NDArray[np.uint8] | str]", _Decoder(self.source))
        loader = DataLoader(
            decoder,
            batch_size=None,  # one item of the data set is one whole batch
            sampler=[self.indices[chunk].tolist() for chunk in chunks],
            num_workers=min(self.workers, len(chunks)),
            collate_fn=_as_is,
            # Without its own the loader would draw a seed from the global generator.
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
    """Decodes a batch at a time: uint8 [B, C, H, W], or the message of what went wrong.

    Arrays, because tensors would travel through shared memory, of which containers have little.
    Messages, because the loader turns a worker's exception into one with a traceback for text.
    """

    def __init__(self, source: ImageSource) -> None:
        self.source = source

    def __getitem__(self, indices: list[int]) -> npt.NDArray[np.uint8] | str:
        try:
            return np.stack([self.source[index] for index in indices])
        except DataError as error:
            return str(error)


def available_cpus() -> int:
    """The CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def digest(parts: Iterable[bytes | memoryview]) -> str:
    """16 hexadecimal digits of the SHA-256 of the parts; where one ends counts too."""
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
