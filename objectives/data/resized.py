"""A set of images shown at another size than the one it is held in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Self

from ...lazy_imports import F, torch
from .images import Batch, ImageSet, Indices


class ResizedImages(ImageSet):
    """Square images resized (bilinear, antialiased) batch by batch, as they are asked for.

    CIFAR-10 at 224 px would fill 9 GB; resizing a batch takes a small part of the time that
    training on it takes.

    Args:
        images: the set at its own size.
        size: the side in pixels.
    """

    def __init__(self, images: ImageSet, size: int) -> None:
        self.images, self.size = images, size
        self.labels, self.shape = images.labels, (images.shape[0], size, size)

    def subset(self, indices: Indices) -> Self:
        return type(self)(self.images.subset(indices), self.size)

    def _read(self, chunks: Sequence[torch.Tensor]) -> Iterator[Batch]:
        for images, labels in self.images._read(chunks):
            yield _resize(images, self.size), labels

    def _content(self) -> Iterator[bytes | memoryview]:
        yield f"resized {self.size} {self.images.fingerprint()}".encode()


def _resize(images: torch.Tensor, size: int) -> torch.Tensor:
    """uint8 [B, C, H, W] -> uint8 [B, C, size, size]."""
    resized = F.interpolate(images.to(torch.float32), (size, size), mode="bilinear", antialias=True)
    return resized.round_().clamp_(0, 255).to(torch.uint8)
