"""Weights and images that are too large for the repository: `../shared` beside the checkout."""

import os
import zipfile
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def shared(name: str) -> Path:
    """A file of the shared folder, or of the one that PAREDOWN_SHARED names; else skip."""
    folder = Path(os.environ.get("PAREDOWN_SHARED") or ROOT.parent / "shared")
    if not (folder / name).is_file():
        pytest.skip(f"there is no {name} in {folder}; PAREDOWN_SHARED names another folder")
    return folder / name


def unpack_cifar(folder: Path, train: int, test: int) -> Path:
    """The first so many images of each class of CIFAR-10, as train/ and test/ class folders."""
    most, taken = {"train": train, "test": test}, Counter[str]()
    with zipfile.ZipFile(shared("data/cifar10-jpeg.zip")) as archive:
        for name in sorted(archive.namelist()):
            part, _, rest = name.partition("/")
            label = rest.partition("/")[0]
            if name.endswith(".jpg") and taken[f"{part}/{label}"] < most.get(part, 0):
                taken[f"{part}/{label}"] += 1
                archive.extract(name, folder)
    return folder
