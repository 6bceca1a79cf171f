"""CIFAR, MNIST and other published sets, downloaded on demand by torchvision.

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009,
https://www.cs.toronto.edu/~kriz/cifar.html; Y. LeCun et al., "Gradient-based learning applied to
document recognition", 1998; H. Xiao et al., arXiv 1708.07747; T. Clanuwat et al. (KMNIST), arXiv
1812.01718; Y. Netzer et al., "Reading Digits in Natural Images with Unsupervised Feature Learning",
2011 (SVHN); A. Coates et al., "An Analysis of Single-Layer Networks in Unsupervised Feature
Learning", 2011 (STL-10); J. Stallkamp et al., "Man vs. computer", 2012 (GTSRB); M.-E. Nilsback
and A. Zisserman, "Automated Flower Classification over a Large Number of Classes", 2008; O. M.
Parkhi et al., "Cats and Dogs", 2012.
"""

from __future__ import annotations

import tarfile
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...errors import DataError
from ...lazy_imports import torch
from . import transforms
from .request import DataRequest
from .resize import Preset, fit, fitted_splits
from .sources import SOURCES, DataSource
from .splits import Splits, split_parts
from .transforms import Augmentation
from .user_datasets import fitted_parts

# Exceptions of torchvision when a download fails or a file is damaged.
_FAILURES = (
    OSError,
    RuntimeError,
    ValueError,
    AssertionError,
    EOFError,
    tarfile.TarError,
    zlib.error,
)


@dataclass(frozen=True)
class PublishedSet:
    """A data set of torchvision.

    Args:
        name: as users write it.
        title: one line for listings.
        dataset: the class in torchvision.datasets.
        files: the files to download manually if there is no network.
        folder: the folder of these files, relative to the download root.
        preset: normalisation, augmentation and size.
    """

    name: str
    title: str
    dataset: str
    files: str
    folder: str
    preset: Preset

    def load(self, request: DataRequest) -> Splits:
        """Load the official parts and split off a search part: see `split_parts`.

        Raises:
            DataError: the download failed, or files are damaged.
        """
        learn, held_out = (
            self._read(request.download_root, train=train) for train in (True, False)
        )
        classes = tuple(str(name) for name in learn.classes)
        images, test = (fit(*_tensors(part), request) for part in (learn, held_out))
        parts = split_parts({"train": images, "test": test}, request, classes=classes)
        return fitted_splits(parts, classes, self.name, self.preset, request)

    def _read(self, root: Path, **which: Any) -> Any:
        from ..._torchvision import torchvision  # not at the top: takes a second to import

        dataset = getattr(torchvision.datasets, self.dataset)
        try:
            with warnings.catch_warnings():
                # NumPy and tarfile warn about the way torchvision reads these archives.
                warnings.simplefilter("ignore")
                # CIFAR's files are pickles, which can run code. torchvision unpickles them only if
                # they match the MD5 in its source.
                return dataset(root=root, download=True, **which)
        except _FAILURES as error:
            raise DataError(self._advice(root, error)) from error

    def _advice(self, root: Path, error: Exception) -> str:
        reason = " ".join(str(error).split()) or type(error).__name__
        return (
            f"cannot load {self.name}: {reason}. Without network access, put {self.files} into "
            f"{root / self.folder}; if a file there is damaged, delete it"
        )


@dataclass(frozen=True)
class SplitSet(PublishedSet):
    """A data set of torchvision with named parts and single images.

    Images have the preset's size by default.

    Args:
        parts: "train", "test" and optionally "search" -> torchvision's name of the part.
    """

    parts: Mapping[str, str] = field(default_factory=lambda: {"train": "train", "test": "test"})

    def load(self, request: DataRequest) -> Splits:
        """Load the official parts; a missing search part is split off: see `split_parts`.

        Raises:
            DataError: the download failed, or files are damaged.
        """
        wanted = replace(request, size=request.size or self.preset.size)
        root = request.download_root
        read = {name: self._read(root, split=part) for name, part in self.parts.items()}
        parts, classes = fitted_parts(read, wanted)
        return fitted_splits(parts, classes, self.name, self.preset, wanted)


def _tensors(dataset: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images, uint8 [N, C, H, W], and labels, int64 [N]."""
    pixels, labels = torch.as_tensor(dataset.data), torch.as_tensor(dataset.targets)
    if pixels.ndim == 3:  # grey: [N, H, W]
        return pixels[:, None], labels
    return pixels.permute(0, 3, 1, 2).contiguous(), labels


_MNIST_FILES = (
    "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and "
    "t10k-labels-idx1-ubyte.gz"
)

PUBLISHED = (
    PublishedSet(
        "cifar10",
        "CIFAR-10: 60,000 photographs, 32x32 colour, 10 classes (170 MB)",
        "CIFAR10",
        "cifar-10-python.tar.gz",
        ".",
        Preset(transforms.CIFAR10, Augmentation(crop=4, flip=True), 32),
    ),
    PublishedSet(
        "cifar100",
        "CIFAR-100: 60,000 photographs, 32x32 colour, 100 classes (169 MB)",
        "CIFAR100",
        "cifar-100-python.tar.gz",
        ".",
        Preset(transforms.CIFAR100, Augmentation(crop=4, flip=True), 32),
    ),
    PublishedSet(
        "mnist",
        "MNIST: 70,000 handwritten digits, 28x28 grey, 10 classes (12 MB)",
        "MNIST",
        _MNIST_FILES,
        "MNIST/raw",
        Preset(transforms.MNIST, Augmentation(crop=2), 28),
    ),
    PublishedSet(
        "fashionmnist",
        "Fashion-MNIST: 70,000 pieces of clothing, 28x28 grey, 10 classes (31 MB)",
        "FashionMNIST",
        _MNIST_FILES,
        "FashionMNIST/raw",
        Preset(transforms.FASHION_MNIST, Augmentation(crop=2, flip=True), 28),
    ),
    PublishedSet(
        "kmnist",
        "Kuzushiji-MNIST: 70,000 cursive characters, 28x28 grey, 10 classes (21 MB)",
        "KMNIST",
        _MNIST_FILES,
        "KMNIST/raw",
        Preset(transforms.GREY, Augmentation(crop=2), 28),
    ),
    SplitSet(
        "svhn",
        "SVHN: 99,289 house numbers, 32x32 colour, 10 classes (246 MB)",
        "SVHN",
        "train_32x32.mat and test_32x32.mat",
        ".",
        Preset(transforms.IMAGENET, Augmentation(crop=4), 32),
    ),
    SplitSet(
        "stl10",
        "STL-10: 13,000 photographs, 96x96 colour, 10 classes (2.6 GB)",
        "STL10",
        "stl10_binary.tar.gz",
        ".",
        Preset(transforms.IMAGENET, Augmentation(crop=12, flip=True), 96),
    ),
    SplitSet(
        "gtsrb",
        "GTSRB: 39,270 traffic signs, shown at 32 px, colour, 43 classes (276 MB)",
        "GTSRB",
        "GTSRB-Training_fixed.zip, GTSRB_Final_Test_Images.zip and GTSRB_Final_Test_GT.zip",
        "gtsrb",
        Preset(transforms.IMAGENET, Augmentation(crop=4), 32),
    ),
    SplitSet(
        "flowers102",
        "Flowers: 8,189 photographs, shown at 224 px, colour, 102 classes (345 MB)",
        "Flowers102",
        "102flowers.tgz, imagelabels.mat and setid.mat",
        "flowers-102",
        Preset(transforms.IMAGENET, Augmentation(crop=28, flip=True), 224),
        {"train": "train", "test": "test", "search": "val"},
    ),
    SplitSet(
        "oxfordiiitpet",
        "Oxford-IIIT Pet: 7,349 cats and dogs, shown at 224 px, colour, 37 breeds (811 MB)",
        "OxfordIIITPet",
        "images.tar.gz and annotations.tar.gz",
        "oxford-iiit-pet",
        Preset(transforms.IMAGENET, Augmentation(crop=28, flip=True), 224),
        {"train": "trainval", "test": "test"},
    ),
)

for _published in PUBLISHED:
    SOURCES.register(DataSource(_published.name, _published.title, _published.load))
