"""The published sets, read by torchvision from small files in their own formats."""

import gzip
import hashlib
import inspect
import io
import pickle
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from paredown._torchvision import torchvision
from paredown.errors import DataError
from paredown.objectives.data import DataRequest, MemoryImages, load_data
from PIL import Image

RANDOM = np.random.default_rng(0)


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.file,))


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def archive(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def cifar_part(count: int, classes: int, key: str) -> bytes:
    data = RANDOM.integers(0, 256, (count, 3072), dtype=np.uint8)
    return pickle.dumps({"data": data, key: [number % classes for number in range(count)]})


def install_cifar(monkeypatch: pytest.MonkeyPatch, root: Path, classes: int) -> dict[str, bytes]:
    """A tiny CIFAR archive in `root`, which torchvision takes for the real one."""
    dataset = {10: torchvision.datasets.CIFAR10, 100: torchvision.datasets.CIFAR100}[classes]
    key = "labels" if classes == 10 else "fine_labels"
    train = [name for name, _ in dataset.train_list]
    test = [name for name, _ in dataset.test_list]
    each = 10 * classes // len(train)
    files = {name: cifar_part(each, classes, key) for name in train}
    files |= {name: cifar_part(classes, classes, key) for name in test}
    names = {dataset.meta["key"]: [f"class {number}" for number in range(classes)]}
    files[dataset.meta["filename"]] = pickle.dumps(names)
    packed = archive({f"{dataset.base_folder}/{name}": files[name] for name in files})
    root.mkdir(parents=True, exist_ok=True)
    (root / dataset.filename).write_bytes(packed)
    meta = {**dataset.meta, "md5": md5(files[dataset.meta["filename"]])}
    monkeypatch.setattr(dataset, "train_list", [[name, md5(files[name])] for name in train])
    monkeypatch.setattr(dataset, "test_list", [[name, md5(files[name])] for name in test])
    monkeypatch.setattr(dataset, "meta", meta)
    monkeypatch.setattr(dataset, "tgz_md5", md5(packed))
    monkeypatch.setattr(dataset, "url", "file:///nowhere/cifar.tar.gz")
    return files


def idx(values: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.tobytes()


def install_mnist(monkeypatch: pytest.MonkeyPatch, root: Path, name: str) -> np.ndarray:
    """Tiny packed files where MNIST's belong; returns the test images."""
    dataset, raw = getattr(torchvision.datasets, name), root / name / "raw"
    raw.mkdir(parents=True)
    resources, test = [], RANDOM.integers(0, 256, (20, 28, 28), dtype=np.uint8)
    for part, count in (("train", 100), ("t10k", 20)):
        images = test if part == "t10k" else RANDOM.integers(0, 256, (count, 28, 28), np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for file, values in (("images-idx3", images), ("labels-idx1", labels)):
            packed = gzip.compress(idx(values))
            (raw / f"{part}-{file}-ubyte.gz").write_bytes(packed)
            resources.append((f"{part}-{file}-ubyte.gz", md5(packed)))
    monkeypatch.setattr(dataset, "resources", resources)
    monkeypatch.setattr(dataset, "mirrors", ["file:///nowhere/"])
    return test


@pytest.mark.parametrize(("name", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_cifar(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, classes: int) -> None:
    files = install_cifar(monkeypatch, tmp_path, classes)
    splits = load_data(DataRequest(name, download_root=tmp_path))
    assert [len(part) for part in (splits.train, splits.search)] == [9 * classes, classes]
    assert splits.classes == tuple(f"class {number}" for number in range(classes))
    assert (splits.channels, splits.size, splits.name) == (3, 32, name)
    assert (splits.augmentation.crop, splits.augmentation.flip) == (4, True)
    official = pickle.loads(files["test_batch" if classes == 10 else "test"])["data"]
    assert isinstance(splits.test, MemoryImages)
    assert np.array_equal(splits.test.images.numpy().reshape(-1, 3072), official)


def test_cifar_larger_and_grey(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_cifar(monkeypatch, tmp_path, 10)
    splits = load_data(DataRequest("cifar10", size=40, channels=1, download_root=tmp_path))
    pixels, _ = next(splits.test.batches(3))
    assert pixels.shape == (3, 1, 40, 40)
    assert splits.normalisation(pixels).shape == (3, 1, 40, 40)
    assert splits.augmentation.crop == 5


def test_a_changed_pickle_is_never_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_cifar(monkeypatch, tmp_path, 10)
    load_data(DataRequest("cifar10", download_root=tmp_path))
    (tmp_path / "cifar-10-python.tar.gz").unlink()
    trap = tmp_path / "trap"
    code = pickle.dumps(Trap(trap))
    (tmp_path / "cifar-10-batches-py/test_batch").write_bytes(code)
    with pytest.raises(DataError, match="cannot load cifar10"):
        load_data(DataRequest("cifar10", download_root=tmp_path))
    assert not trap.exists()
    pickle.loads(code)
    assert trap.exists()


@pytest.mark.parametrize(
    ("name", "dataset", "flip"),
    [("mnist", "MNIST", False), ("fashionmnist", "FashionMNIST", True)],
)
def test_mnist(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, dataset: str, flip: bool
) -> None:
    official = install_mnist(monkeypatch, tmp_path, dataset)
    splits = load_data(DataRequest(name, download_root=tmp_path))
    assert [len(part) for part in (splits.train, splits.search)] == [90, 10]
    assert (splits.channels, splits.size, splits.augmentation.flip) == (1, 28, flip)
    assert isinstance(splits.test, MemoryImages)
    assert torch.equal(splits.test.images[:, 0], torch.from_numpy(official))


@pytest.mark.parametrize(
    ("name", "dataset", "advice"),
    [
        ("cifar10", "CIFAR10", r"put cifar-10-python.tar.gz into {root};"),
        ("cifar100", "CIFAR100", r"put cifar-100-python.tar.gz into {root};"),
        ("mnist", "MNIST", r"t10k-labels-idx1-ubyte.gz into {root}/MNIST/raw;"),
        ("fashionmnist", "FashionMNIST", r"-ubyte.gz into {root}/FashionMNIST/raw;"),
    ],
)
def test_a_failed_download_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, dataset: str, advice: str
) -> None:
    source = getattr(torchvision.datasets, dataset)
    nowhere = ("url", "file:///nowhere/x.gz"), ("mirrors", ["file:///nowhere/"])
    attribute, value = nowhere["MNIST" in dataset]
    monkeypatch.setattr(source, attribute, value)
    with pytest.raises(DataError) as raised:
        load_data(DataRequest(name, download_root=tmp_path))
    assert advice.format(root=tmp_path) in str(raised.value)
    assert "nowhere" in str(raised.value)


def test_a_truncated_file_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_mnist(monkeypatch, tmp_path, "MNIST")
    load_data(DataRequest("mnist", download_root=tmp_path))
    file = tmp_path / "MNIST/raw/t10k-images-idx3-ubyte"
    for length in (100, 3, 0):
        file.write_bytes(file.read_bytes()[:length])
        with pytest.raises(DataError, match="if a file there is damaged, delete it"):
            load_data(DataRequest("mnist", download_root=tmp_path))


class Parts:
    """As torchvision's sets in named parts: images of any size, one by one."""

    asked: ClassVar[list[str]] = []

    def __init__(self, root: Path, split: str, download: bool) -> None:
        assert download
        self.count = {"train": 40, "trainval": 40, "val": 8, "test": 12}[split]
        self.asked.append(split)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return Image.new("RGB", (40 + index, 50), (index, 0, 0)), index % 4


@pytest.mark.parametrize(
    ("name", "dataset", "size", "parts"),
    [
        ("svhn", "SVHN", 32, ["train", "test"]),
        ("stl10", "STL10", 96, ["train", "test"]),
        ("gtsrb", "GTSRB", 32, ["train", "test"]),
        ("flowers102", "Flowers102", 224, ["train", "test", "val"]),
        ("oxfordiiitpet", "OxfordIIITPet", 224, ["trainval", "test"]),
    ],
)
def test_sets_in_named_parts(
    name: str,
    dataset: str,
    size: int,
    parts: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    taken = inspect.signature(getattr(torchvision.datasets, dataset)).parameters
    assert {"root", "split", "download"} <= taken.keys()
    monkeypatch.setattr(torchvision.datasets, dataset, Parts)
    Parts.asked.clear()
    splits = load_data(DataRequest(name, download_root=tmp_path))
    assert (splits.name, splits.size, splits.channels) == (name, size, 3)
    assert Parts.asked == parts
    searched = 8 if "val" in parts else 4
    assert [len(part) for part in (splits.train, splits.search, splits.test)] == [
        *(40 - (0 if "val" in parts else 4), searched),
        12,
    ]
    assert splits.augmentation.crop == size // 8
    small = load_data(DataRequest(name, size=16, channels=1, download_root=tmp_path))
    assert (small.size, small.channels, small.augmentation.crop) == (16, 1, 2)
