"""What a user asks for when asking for a data set."""

from dataclasses import dataclass, field
from pathlib import Path

from ...errors import DataError
from ..paths import cache_folder
from .transforms import Normalisation


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
        max_memory_bytes: image folders that would need more are decoded as they are used.

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

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise DataError(f"size must be at least 1 pixel, got {self.size}")
        if self.channels not in (None, 1, 3):
            raise DataError(f"channels must be 1 (grey) or 3 (colour), got {self.channels}")
        if (self.mean is None) != (self.std is None):
            raise DataError("mean and std go together: give both or neither")

    def normalisation(self, default: Normalisation, channels: int) -> Normalisation:
        """What the request asks for, else the default, for images with that many channels.

        Raises:
            DataError: mean and std are not one value or one per channel.
        """
        if self.mean is None or self.std is None:
            return default.for_channels(channels)
        given = Normalisation(tuple(self.mean), tuple(self.std))
        if len(given.mean) not in (1, channels):
            raise DataError(
                f"mean and std have {len(given.mean)} values, the images {channels} channel"
                f"{'' if channels == 1 else 's'}"
            )
        return given.for_channels(channels)
