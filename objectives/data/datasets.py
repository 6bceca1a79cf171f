"""torch Datasets of (image, label) as splits: read once, kept in memory."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from ...errors import DataError
from .fitting import Preset, fit, fitted_splits
from .images import ImageSet
from .request import DataRequest
from .splits import Splits, split_three, split_two
from .transforms import GREY, IMAGENET, Augmentation


def splits_of(train: Any, test: Any, search: Any, request: DataRequest) -> Splits:
    """Datasets as the three parts of a data set.

    Args:
        train: items (image, label); an image is a Pillow image, a uint8 array [h, w] or [h, w, c],
            or a tensor [c, h, w], uint8 or of floats in [0, 1].
        test, search: the same; what is None is a part of `train`, stratified.
        request: size, channels and normalisation.

    Raises:
        DataError: an item is none, images differ in size, or labels are no classes.
    """
    given = {"train": train, "search": search, "test": test}
    read = {name: _read(name, one, request) for name, one in given.items() if one is not None}
    size = next(iter(read.values())).shape[-1]
    classes = _classes(train, read)
    parts = _parts(read, request.seed, classes)
    channels = parts[0].shape[0]
    preset = Preset(GREY if channels == 1 else IMAGENET, Augmentation(crop=max(1, size // 8)), size)
    return fitted_splits(parts, classes, type(train).__name__, preset, request)


def _parts(
    read: dict[str, ImageSet], seed: int, classes: Sequence[str]
) -> tuple[ImageSet, ImageSet, ImageSet]:
    train, search, test = (read.get(name) for name in ("train", "search", "test"))
    if train is None:
        raise ValueError("there is no train part")
    if search is None and test is None:
        return split_three(train, seed, classes=classes)
    if search is None and test is not None:
        train, search = split_two(train, seed, classes=classes)
    elif search is not None and test is None:
        train, test = split_two(train, seed, 0.2, classes=classes)
    if search is None or test is None:
        raise ValueError("a part is missing")
    return train, search, test


def _read(part: str, dataset: Any, request: DataRequest) -> ImageSet:
    images, labels = [], []
    for place in range(len(dataset)):
        try:
            image, label = dataset[place]
        except (TypeError, ValueError):
            raise DataError(f"{part}: item {place} is not (image, label)") from None
        images.append(_pixels(image, f"{part}: image {place}"))
        labels.append(int(label))
    shapes = {tuple(one.shape) for one in images}
    if len(shapes) != 1:
        raise DataError(f"{part}: images differ in shape: {sorted(shapes)}; give them one size")
    if images[0].shape[1] != images[0].shape[2]:
        raise DataError(f"{part}: expected square images, got {list(images[0].shape)}")
    return fit(torch.stack(images), torch.tensor(labels), request)


def _pixels(image: Any, what: str) -> torch.Tensor:
    """uint8 [c, h, w]."""
    if isinstance(image, Image.Image):
        image = np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB"))
    if isinstance(image, np.ndarray):
        image = torch.from_numpy(image.copy())
        image = image[None] if image.ndim == 2 else image.permute(2, 0, 1)
    if not isinstance(image, torch.Tensor) or image.ndim != 3 or len(image) not in (1, 3):
        raise DataError(f"{what}: expected a Pillow image, an array or a tensor [c, h, w]")
    if image.is_floating_point():
        if image.min() < 0 or image.max() > 1:
            raise DataError(
                f"{what}: floats must lie in [0, 1]; leave normalisation to mean and std"
            )
        image = image.mul(255).round().to(torch.uint8)
    if image.dtype != torch.uint8:
        raise DataError(f"{what}: expected uint8 or floats in [0, 1], got {image.dtype}")
    pixels: torch.Tensor = image
    return pixels


def _classes(train: Any, read: dict[str, ImageSet]) -> tuple[str, ...]:
    named = getattr(train, "classes", None)
    if named is not None:
        return tuple(str(name) for name in named)
    return tuple(str(label) for label in range(1 + max(int(r.labels.max()) for r in read.values())))
