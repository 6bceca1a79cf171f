"""Conversion of image arrays to the requested size and channels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from ...lazy_imports import F, torch
from .images import Batch, ImageSet, Indices, MemoryImages
from .request import DataRequest
from .splits import Splits
from .transforms import Augmentation, Normalisation


class ResizedImages(ImageSet):
    """Square images that are resized (bilinear, antialiased) batch by batch, on demand.

    CIFAR-10 at 224 px would need 9 GB; resizing a batch takes a fraction of the time of training on
    it.

    Args:
        images: the set at its original size.
        size: side length in pixels.
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
    """Resize uint8 [B, C, H, W] to uint8 [B, C, size, size]."""
    resized = F.interpolate(images.to(torch.float32), (size, size), mode="bilinear", antialias=True)
    return resized.round_().clamp_(0, 255).to(torch.uint8)


@dataclass(frozen=True)
class Preset:
    """The normalisation and augmentation of a published set, at its original size."""

    normalisation: Normalisation
    augmentation: Augmentation
    size: int


def fit(images: torch.Tensor, labels: torch.Tensor, request: DataRequest) -> ImageSet:
    """Convert uint8 [N, C, H, W] and labels [N] to a set with the requested channels and size."""
    wanted = MemoryImages(to_channels(images, request.channels or images.shape[1]), labels)
    if request.size in (None, images.shape[-1]):
        return wanted
    return ResizedImages(wanted, request.size or images.shape[-1])


def fitted_splits(
    parts: tuple[ImageSet, ImageSet, ImageSet],
    classes: tuple[str, ...],
    name: str,
    preset: Preset,
    request: DataRequest,
) -> Splits:
    """Combine train, search and test to `Splits`, with the preset adapted to their size."""
    channels, _, size = parts[0].shape
    return Splits(
        *parts,
        classes=classes,
        name=name,
        normalisation=request.normalisation(preset.normalisation, channels),
        augmentation=request.augmentation(preset.augmentation.at_size(size, preset.size), size),
    )


def to_channels(images: torch.Tensor, channels: int) -> torch.Tensor:
    """Convert uint8 [N, 1 or 3, H, W] to uint8 [N, channels, H, W]; grey is Pillow's luminance."""
    if images.shape[1] == channels:
        return images
    if channels == 3:
        return images.repeat(1, 3, 1, 1)
    # Pillow's integers for 0.299, 0.587, 0.114, so that image folders have the same grey values.
    red, green, blue = images.to(torch.int32).unbind(1)
    grey = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
    return grey.to(torch.uint8)[:, None]
