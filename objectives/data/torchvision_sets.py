"""CIFAR-10, CIFAR-100, MNIST and Fashion-MNIST, downloaded on demand through torchvision.

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009,
https://www.cs.toronto.edu/~kriz/cifar.html; Y. LeCun et al., "Gradient-based learning applied to
document recognition", 1998; H. Xiao et al., arXiv 1708.07747.
"""

import tarfile
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...errors import DataError
from . import transforms
from .fitting import Preset, fit, fitted_splits
from .request import DataRequest
from .sources import SOURCES, DataSource
from .splits import Splits, split_two
from .transforms import Augmentation

# What torchvision lets out when a download fails or a file is not what it should be.
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
    """A set that torchvision knows.

    Args:
        name: what users type.
        title: one line for listings.
        dataset: the class in torchvision.datasets.
        files: what to fetch by hand where there is no network.
        folder: where those files go, below the download root.
        preset: what is known of the images.
    """

    name: str
    title: str
    dataset: str
    files: str
    folder: str
    preset: Preset

    def load(self, request: DataRequest) -> Splits:
        """Train and search from the official training part, test from the official test part.

        Raises:
            DataError: neither there nor to be downloaded, or damaged.
        """
        learn, held_out = (self._read(request.download_root, train) for train in (True, False))
        classes = tuple(str(name) for name in learn.classes)
        images, test = (fit(*_tensors(part), request) for part in (learn, held_out))
        train, search = split_two(images, request.seed, classes=classes)
        return fitted_splits((train, search, test), classes, self.name, self.preset, request)

    def _read(self, root: Path, train: bool) -> Any:
        from ..._torchvision import torchvision  # here: takes a second to import

        dataset = getattr(torchvision.datasets, self.dataset)
        try:
            with warnings.catch_warnings():
                # NumPy and tarfile warn of how torchvision reads these old archives.
                warnings.simplefilter("ignore")
                # CIFAR comes as pickles, which run code when read. torchvision reads one only
                # after its MD5 has matched the one that torchvision ships with.
                return dataset(root=root, train=train, download=True)
        except _FAILURES as error:
            raise DataError(self._advice(root, error)) from error

    def _advice(self, root: Path, error: Exception) -> str:
        reason = " ".join(str(error).split()) or type(error).__name__
        return (
            f"cannot load {self.name}: {reason}. If there is no network, put {self.files} "
            f"into {root / self.folder}; if a file there is damaged, delete it"
        )


def _tensors(dataset: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """uint8 [N, C, H, W] and int64 [N]."""
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
)

for _published in PUBLISHED:
    SOURCES.register(DataSource(_published.name, _published.title, _published.load))
