"""scikit-learn's digits: 1,797 scans, 8x8 grey, included in the scikit-learn package.

From "Optical Recognition of Handwritten Digits", E. Alpaydin and C. Kaynak, 1998,
https://archive.ics.uci.edu/dataset/80. Small enough to train in seconds.
"""

from __future__ import annotations

from ...lazy_imports import torch
from .request import DataRequest
from .resize import Preset, fit, fitted_splits
from .sources import SOURCES, DataSource
from .splits import Splits, split_three
from .transforms import Augmentation, Normalisation

# Mean and standard deviation of all pixels of all images, scaled to [0, 1]; four digits.
NORMALISATION = Normalisation((0.3053,), (0.3759,))
PRESET = Preset(NORMALISATION, Augmentation(crop=1), size=8)
CLASSES = tuple("0123456789")


def load_digits(request: DataRequest) -> Splits:
    """Load the digits, with a stratified split of 60/20/20."""
    from sklearn import datasets  # not at the top: takes a second to import

    bunch = datasets.load_digits()
    # Grey values are 0 to 16.
    pixels = torch.from_numpy(bunch.images).mul(255 / 16).round().to(torch.uint8)[:, None]
    images = fit(pixels, torch.from_numpy(bunch.target), request)
    parts = split_three(images, request.seed, classes=CLASSES)
    return fitted_splits(parts, CLASSES, "digits", PRESET, request)


SOURCES.register(
    DataSource("digits", "1,797 handwritten digits, 8x8 grey, 10 classes, bundled", load_digits)
)
