"""A request for a data set, as in the [data] table of study files."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ...errors import DataError
from ...paths import cache_folder
from .transforms import Augmentation, Normalisation


@dataclass(frozen=True)
class DataRequest:
    """A data set, and the size, channels, split and augmentation of its images.

    Args:
        name_or_path: a registered source, a folder of images, or a reference to a function.
        size: side length in pixels; by default that of the data set.
        seed: the seed of random splits.
        channels: 1 (grey) or 3 (RGB); by default those of the data set.
        download_root: the folder of downloaded data sets.
        mean, std: replace the normalisation of the data set; both or neither, one value or one per
            channel.
        max_memory_bytes: data sets that need more memory are decoded, or read, on demand.
        crop, flip: replace the augmentation of the data set, independently: the maximum shift in
            pixels in each direction, and whether half of the images are mirrored. By default,
            published sets have their usual augmentation; other images are shifted by up to an
            eighth of their side and mirrored.
        search: the source of the search split if the data set has none: the "train" part or the
            "test" part. By default the test part if weights are given, else the training part.
        weights_given: whether the network has weights, which have seen the training images; None
            if not known yet.

    Raises:
        DataError: an invalid value.
    """

    name_or_path: str
    size: int | None = None
    seed: int = 0
    channels: int | None = None
    download_root: Path = field(default_factory=lambda: cache_folder() / "data")
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    max_memory_bytes: int = 2 * 2**30
    crop: int | None = None
    flip: bool | None = None
    search: Literal["train", "test"] | None = None
    weights_given: bool | None = None

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise DataError(f"size must be at least 1 pixel, got {self.size}")
        if self.channels not in (None, 1, 3):
            raise DataError(f"channels must be 1 (grey) or 3 (colour), got {self.channels}")
        if (self.mean is None) != (self.std is None):
            raise DataError("expected both mean and std or neither, got only one of them")
        if self.crop is not None and self.crop < 0:
            raise DataError(f"crop must be 0 or more pixels, got {self.crop}")
        if self.search not in (None, "train", "test"):
            raise DataError(f'search must be "train" or "test", got {self.search!r}')

    @property
    def searches_test_part(self) -> bool:
        """Whether the search split is one half of the test part, if the data set has one."""
        return self.search == "test" or (self.search is None and bool(self.weights_given))

    def normalisation(self, default: Normalisation, channels: int) -> Normalisation:
        """Return the requested or default normalisation for a number of channels.

        Raises:
            DataError: mean and std have neither one value nor one per channel.
        """
        if self.mean is None or self.std is None:
            return default.for_channels(channels)
        provided = Normalisation(tuple(self.mean), tuple(self.std))
        if len(provided.mean) not in (1, channels):
            raise DataError(
                f"mean and std have {len(provided.mean)} values, but the images have {channels} "
                f"channel{'' if channels == 1 else 's'}"
            )
        return provided.for_channels(channels)

    def augmentation(self, default: Augmentation, size: int) -> Augmentation:
        """Return the requested or default augmentation for images of `size` pixels per side.

        Raises:
            DataError: the crop is as large as the images.
        """
        crop = default.crop if self.crop is None else self.crop
        if crop >= size and self.crop is not None:
            raise DataError(f"crop must be less than the image size of {size} pixels, got {crop}")
        return Augmentation(crop, default.flip if self.flip is None else self.flip)
