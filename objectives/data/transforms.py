"""What happens to a batch between the set and the network: augmentation, then normalisation."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...errors import DataError
from ...lazy_imports import F, torch

LUMINANCE = (0.299, 0.587, 0.114)
"""Grey from red, green and blue, as ITU-R 601 and Pillow have it."""


@dataclass(frozen=True)
class Normalisation:
    """Scales uint8 to [0, 1], then subtracts the mean and divides by the standard deviation.

    Args:
        mean: one value per channel, or one for all, of pixels scaled to [0, 1].
        std: as many values, above 0.

    Raises:
        DataError: lengths that differ, or a value that cannot be.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.mean or len(self.mean) != len(self.std):
            raise DataError(
                f"mean and std need as many values each, got {len(self.mean)} and {len(self.std)}"
            )
        if not all(map(math.isfinite, self.mean + self.std)) or min(self.std) <= 0:
            raise DataError(f"mean must be finite and std above 0, got {self.mean} and {self.std}")

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """uint8 [B, C, H, W] -> float32 of the same shape, on the same device.

        A 1-channel batch is repeated when there is a mean for each of 3 channels.
        """
        if batch.dtype != torch.uint8:
            raise ValueError(f"expected uint8 images, got {batch.dtype}")
        channels = batch.shape[1]
        if channels == 1:
            batch = batch.expand(-1, len(self.mean), -1, -1)
        elif len(self.mean) not in (1, channels):
            raise ValueError(f"a mean for {len(self.mean)} channels, images with {channels}")
        # (x / 255 - mean) / std, in two passes over the batch.
        scale = [1 / (255 * std) for std in self.std]
        shift = [mean / std for mean, std in zip(self.mean, self.std, strict=True)]
        scales, shifts = (
            torch.tensor(values, device=batch.device).view(-1, 1, 1) for values in (scale, shift)
        )
        return batch.to(torch.float32).mul_(scales).sub_(shifts)

    def for_channels(self, channels: int) -> Normalisation:
        """The same for images that were converted to 1 (grey) or 3 channels.

        To grey the mean is exact, the standard deviation an estimate: it takes the three
        channels for fully correlated, which photographs nearly are.
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
    """A random crop and a random horizontal flip, drawn for each image by itself.

    Args:
        crop: zero pixels added on every side before a window of the old size is cut out.
        flip: mirror every second image, on average.
    """

    crop: int = 0
    flip: bool = False

    def __post_init__(self) -> None:
        if self.crop < 0:
            raise ValueError(f"crop must be 0 or more pixels, got {self.crop}")

    def __call__(self, batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """[B, C, H, W] -> the same shape, type and device; what is drawn comes from generator."""
        if self.crop:
            batch = self._cropped(batch, generator)
        if self.flip:
            mirrored = torch.rand(len(batch), generator=generator, device=generator.device) < 0.5
            batch = torch.where(mirrored.to(batch.device).view(-1, 1, 1, 1), batch.flip(3), batch)
        return batch

    def at_size(self, size: int, native: int) -> Augmentation:
        """The same share of the side, for images resized from `native` to `size` pixels."""
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
    """For images of which nothing is known but their side in pixels."""
    return Augmentation(crop=max(1, size // 8), flip=True)


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CIFAR10 = Normalisation((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
CIFAR100 = Normalisation((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762))
MNIST = Normalisation((0.1307,), (0.3081,))
FASHION_MNIST = Normalisation((0.2860,), (0.3530,))
GREY = Normalisation((0.5,), (0.25,))
"""For grey images of which nothing is known."""
