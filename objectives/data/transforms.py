"""Augmentation and normalisation of batches."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...errors import DataError
from ...lazy_imports import F, torch

LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey, as in ITU-R 601 and Pillow."""


@dataclass(frozen=True)
class Normalisation:
    """Scales uint8 to [0, 1], then subtracts the mean and divides by the standard deviation.

    Args:
        mean: one value per channel, or one for all, of pixels scaled to [0, 1].
        std: as many values, above 0.

    Raises:
        DataError: different lengths, or an invalid value.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.mean or len(self.mean) != len(self.std):
            raise DataError(
                "expected mean and std with equal numbers of values, got "
                f"{len(self.mean)} and {len(self.std)}"
            )
        if not all(map(math.isfinite, self.mean + self.std)) or min(self.std) <= 0:
            raise DataError(f"mean must be finite and std above 0, got {self.mean} and {self.std}")

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Convert uint8 [B, C, H, W] to normalised float32, on the same device.

        A 1-channel batch is repeated if there are means for 3 channels.
        """
        if batch.dtype != torch.uint8:
            raise ValueError(f"expected uint8 images, got {batch.dtype}")
        channels = batch.shape[1]
        if channels == 1:
            batch = batch.expand(-1, len(self.mean), -1, -1)
        elif len(self.mean) not in (1, channels):
            raise ValueError(f"expected images with {len(self.mean)} channels, got {channels}")
        # (x / 255 - mean) / std, in two passes over the batch.
        scale = [1 / (255 * std) for std in self.std]
        shift = [mean / std for mean, std in zip(self.mean, self.std, strict=True)]
        scales, shifts = (
            torch.tensor(values, device=batch.device).view(-1, 1, 1) for values in (scale, shift)
        )
        return batch.to(torch.float32).mul_(scales).sub_(shifts)

    def for_channels(self, channels: int) -> Normalisation:
        """Convert to a normalisation for images of 1 (grey) or 3 channels.

        For grey, the mean is exact and the standard deviation is an estimate that assumes fully
        correlated channels, which photographs nearly have.
        """
        if channels == len(self.mean):
            return self
        if len(self.mean) == 1:
            return Normalisation(self.mean * channels, self.std * channels)
        mean, std = (
            sum(weight * value for weight, value in zip(LUMINANCE, values, strict=True))
            for values in (self.mean, self.std)
        )
        return Normalisation((mean,), (std,))


@dataclass(frozen=True)
class Augmentation:
    """A random crop and a random horizontal flip, independent for each image.

    Args:
        crop: zero pixels added on every side before a window of the original size is cropped.
        flip: whether half of the images are mirrored, on average.
    """

    crop: int = 0
    flip: bool = False

    def __post_init__(self) -> None:
        if self.crop < 0:
            raise ValueError(f"crop must be 0 or more pixels, got {self.crop}")

    def __call__(self, batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Augment [B, C, H, W]; shape, type and device stay the same."""
        if self.crop:
            batch = self._cropped(batch, generator)
        if self.flip:
            mirrored = torch.rand(len(batch), generator=generator, device=generator.device) < 0.5
            batch = torch.where(mirrored.to(batch.device).view(-1, 1, 1, 1), batch.flip(3), batch)
        return batch

    def at_size(self, size: int, native: int) -> Augmentation:
        """Scale the crop for images resized from `native` to `size` pixels."""
        scaled = max(1, round(self.crop * size / native)) if self.crop else 0
        return Augmentation(scaled, self.flip)

    def _cropped(self, batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        count, _, height, width = batch.shape
        top, left = torch.randint(
            2 * self.crop + 1, (2, count), generator=generator, device=generator.device
        ).to(batch.device)
        padded = F.pad(batch, (self.crop,) * 4)
        # A view of every window: [B, C, offsets down, offsets right, H, W].
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)
        return windows[torch.arange(count, device=batch.device), :, top, left]


def any_augmentation(size: int) -> Augmentation:
    """Return the default augmentation for images of unknown content."""
    return Augmentation(crop=max(1, size // 8), flip=True)


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CIFAR10 = Normalisation((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
CIFAR100 = Normalisation((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762))
MNIST = Normalisation((0.1307,), (0.3081,))
FASHION_MNIST = Normalisation((0.2860,), (0.3530,))
GREY = Normalisation((0.5,), (0.25,))
"""The default for grey images of unknown content."""
