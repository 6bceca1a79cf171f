"""Images that came as one array, fitted to what the request asks: channels and size."""

from __future__ import annotations

from dataclasses import dataclass

from ...lazy_imports import torch
from .images import ImageSet, MemoryImages
from .request import DataRequest
from .resized import ResizedImages
from .splits import Splits
from .transforms import Augmentation, Normalisation


@dataclass(frozen=True)
class Preset:
    """What is known of a published set, at its own size."""

    normalisation: Normalisation
    augmentation: Augmentation
    size: int


def fit(images: torch.Tensor, labels: torch.Tensor, request: DataRequest) -> ImageSet:
    """uint8 [N, C, H, W] and integers [N] as a set with the request's channels and size."""
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
    """Fitted train, search and test as `Splits`, the preset adapted to them."""
    channels, _, size = parts[0].shape
    return Splits(
        *parts,
        classes=classes,
        name=name,
        normalisation=request.normalisation(preset.normalisation, channels),
        augmentation=request.augmentation(preset.augmentation.at_size(size, preset.size), size),
    )


def to_channels(images: torch.Tensor, channels: int) -> torch.Tensor:
    """uint8 [N, 1 or 3, H, W] -> uint8 [N, channels, H, W]; grey is Pillow's luminance."""
    if images.shape[1] == channels:
        return images
    if channels == 3:
        return images.repeat(1, 3, 1, 1)
    # Pillow's own integers for 0.299, 0.587, 0.114, so that a folder gives the same grey.
    red, green, blue = images.to(torch.int32).unbind(1)
    grey = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
    return grey.to(torch.uint8)[:, None]
