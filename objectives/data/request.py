"""What a user asks for when asking for a data set."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ...errors import DataError
from ...paths import cache_folder
from .transforms import Augmentation, Normalisation


@dataclass(frozen=True)
class DataRequest:
    """A data set, and how its images are to come.

    Args:
        name_or_path: a registered source, or a folder of images.
        size: the side in pixels; by default the set's own.
        seed: decides the split, where the set does not.
        channels: 1 (grey) or 3 (red, green, blue); by default the set's own.
        download_root: where sets that are downloaded are kept.
        mean, std: replace the set's normalisation; both or neither, one value or one per channel.
        max_memory_bytes: images that would need more are decoded, or read, as they are used.
        crop, flip: replace the set's augmentation, each by itself: pixels that images are moved by
            at most, on either side and up and down, and whether every second one is mirrored. By
            default a published set has its usual one, and any other images are moved by an eighth
            of their side and mirrored.
        search: where the images of the search split come from, where the set has none for it: the
            "train" part or the "test" part. By default the test part if weights are given, else
            the training part.
        weights_given: whether the network comes with weights, which have seen the training images;
            None if that is not known yet.

    Raises:
        DataError: a value that cannot be.
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
            raise DataError("mean and std go together: give both or neither")
        if self.crop is not None and self.crop < 0:
            raise DataError(f"crop must be 0 or more pixels, got {self.crop}")
        if self.search not in (None, "train", "test"):
            raise DataError(f'search must be "train" or "test", got {self.search!r}')

    @property
    def searches_test_part(self) -> bool:
        """Whether the search split is one half of the test part, should the set have one."""
        return self.search == "test" or (self.search is None and bool(self.weights_given))

    def normalisation(self, default: Normalisation, channels: int) -> Normalisation:
        """What the request asks for, else the default, for images with that many channels.

        Raises:
            DataError: mean and std are not one value or one per channel.
        """
        if self.mean is None or self.std is None:
            return default.for_channels(channels)
        provided = Normalisation(tuple(self.mean), tuple(self.std))
        if len(provided.mean) not in (1, channels):
            raise DataError(
                f"mean and std have {len(provided.mean)} values, the images {channels} channel"
                f"{'' if channels == 1 else 's'}"
            )
        return provided.for_channels(channels)

    def augmentation(self, default: Augmentation, size: int) -> Augmentation:
        """What the request asks for, else the default, for images with a side of so many pixels.

        Raises:
            DataError: images would be moved out of sight.
        """
        crop = default.crop if self.crop is None else self.crop
        if crop >= size and self.crop is not None:
            raise DataError(f"crop must be less than the images' {size} pixels, got {crop}")
        return Augmentation(crop, default.flip if self.flip is None else self.flip)
