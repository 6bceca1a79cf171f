"""Conversion of an item of a user's data set to pixels and a label."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ...errors import DataError
from ...lazy_imports import torch
from .decoding import eight_bits, square

Pixels = npt.NDArray[np.uint8]

_IMAGE_NAMES = ("image", "img", "pixels")
_LABEL_NAMES = ("label", "labels", "target")
_GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L")
_FORMS = "a PIL image, or a tensor or array of uint8 or of floats from 0 to 1"


def read_item(item: object, size: int | None, channels: int | None) -> tuple[Pixels, int]:
    """Convert an item to uint8 [1 or 3, H, W] and its label.

    Args:
        item: (image, label), or a mapping with "image" and "label".
        size: the side length to which the central square is resized; None does not resize.
        channels: 1 or 3; None does not convert.

    Raises:
        DataError: unsupported type or value; the message continues the item's name.
    """
    image, label = _halves(item)
    pixels = _pixels(image)
    if channels is not None:
        pixels = to_channels_of_one(pixels, channels)
    return pixels if size is None else _fitted(pixels, size), _label(label)


def to_channels_of_one(pixels: Pixels, channels: int) -> Pixels:
    """Convert uint8 [1 or 3, H, W] to uint8 [channels, H, W], with Pillow."""
    if len(pixels) == channels:
        return pixels
    return _array(_picture(pixels).convert("L" if channels == 1 else "RGB"))


def _halves(item: object) -> tuple[object, object]:
    if isinstance(item, Mapping):
        names = [
            next((name for name in known if name in item), None)
            for known in (_IMAGE_NAMES, _LABEL_NAMES)
        ]
        if None not in names:
            return item[names[0]], item[names[1]]
        raise DataError(f"is a mapping with {', '.join(map(str, item))}; expected image and label")
    if isinstance(item, Sequence) and not isinstance(item, str | bytes) and len(item) == 2:
        return item[0], item[1]
    many = f" of {len(item)}" if isinstance(item, tuple | list) else ""
    raise DataError(f"is a {type(item).__name__}{many}; expected (image, label)")


def _pixels(image: object) -> Pixels:
    """Convert an image of any supported type to uint8 [1 or 3, H, W]."""
    if isinstance(image, Image.Image):
        grey = image.mode in _GREY_MODES
        return _array(eight_bits(image).convert("L" if grey else "RGB"))
    if isinstance(image, torch.Tensor):
        return _eight_bits(_channels_first(image.detach().cpu().numpy(), tensor=True))
    if isinstance(image, np.ndarray):
        return _eight_bits(_channels_first(image, tensor=False))
    raise DataError(f"has an image of type {type(image).__name__}; expected {_FORMS}")


def _channels_first(pixels: npt.NDArray[Any], *, tensor: bool) -> npt.NDArray[Any]:
    """Convert [H, W], [C, H, W] or [H, W, C] to [C, H, W].

    Ambiguous shapes are channels-first for tensors and channels-last for arrays.
    """
    if pixels.ndim == 2:
        return pixels[None]
    if pixels.ndim == 3:
        first, last = pixels.shape[0] in (1, 3), pixels.shape[2] in (1, 3)
        if first and (tensor or not last):
            return pixels
        if last and not tensor:
            return pixels.transpose(2, 0, 1)
    expected = "[1 or 3, H, W]" if tensor else "[H, W], [H, W, 1 or 3] or [1 or 3, H, W]"
    raise DataError(f"has an image of shape {list(pixels.shape)}; expected {expected}")


def _eight_bits(pixels: npt.NDArray[Any]) -> Pixels:
    if not pixels.size:
        raise DataError(f"has an empty image, of shape {list(pixels.shape)}")
    if pixels.dtype == np.uint8:
        plain: Pixels = pixels
        return plain
    if not np.issubdtype(pixels.dtype, np.floating):
        raise DataError(f"has an image of {pixels.dtype}; expected uint8 or floats from 0 to 1")
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0 and high <= 1):  # also true for NaN
        raise DataError(
            f"has an image with values from {low:.4g} to {high:.4g}; expected floats from 0 to 1, "
            "or uint8. If images are already normalised, remove the normalisation and set mean and "
            "std in [data]; if they have another range, divide by it"
        )
    rounded: Pixels = np.rint(pixels * 255).astype(np.uint8)
    return rounded


def _label(label: object) -> int:
    try:
        value = operator.index(label)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise DataError(
            f"has the label {str(label)[:40]!r}, a {type(label).__name__}; expected an integer, "
            "0 for the first class"
        ) from None
    if value < 0:
        raise DataError(f"has the label {value}; expected 0 or more, 0 for the first class")
    return value


def _fitted(pixels: Pixels, size: int) -> Pixels:
    if pixels.shape[1:] == (size, size):
        return pixels
    return _array(square(_picture(pixels), size))


def _picture(pixels: Pixels) -> Image.Image:
    grey = len(pixels) == 1
    return Image.fromarray(np.ascontiguousarray(pixels[0] if grey else pixels.transpose(1, 2, 0)))


def _array(image: Image.Image) -> Pixels:
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
