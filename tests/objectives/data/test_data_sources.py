"""Asking for data by name or path; the bundled digits; where downloads go."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from paredown.errors import DataError, UnknownName
from paredown.objectives.data import SOURCES, Augmentation, DataRequest, Splits, load_data
from paredown.paths import cache_folder
from sklearn.datasets import load_digits

MakeFolder = Callable[..., Path]


def pixels_of(splits: Splits) -> torch.Tensor:
    parts = (splits.train, splits.search, splits.test)
    return torch.cat([pixels for part in parts for pixels, _ in part.batches(2000)])


def test_the_registered_sources() -> None:
    assert SOURCES.names == (
        *("digits", "cifar10", "cifar100", "mnist", "fashionmnist", "kmnist", "svhn", "stl10"),
        *("gtsrb", "flowers102", "oxfordiiitpet"),
    )
    assert all(source.title for source in SOURCES)


def test_digits_are_split_60_20_20() -> None:
    splits = load_data(DataRequest("digits"))
    assert [len(part) for part in (splits.train, splits.search, splits.test)] == [1077, 360, 360]
    assert (splits.name, splits.channels, splits.size) == ("digits", 1, 8)
    assert splits.classes == tuple("0123456789")


def test_digits_are_scikit_learns() -> None:
    loaded = pixels_of(load_data(DataRequest("digits"))).double()
    own = load_digits().images
    assert loaded.max() == 255
    assert sorted(loaded.sum((1, 2, 3)).tolist()) == pytest.approx(
        sorted((own * 255 / 16).sum((1, 2))), abs=32
    )


def test_the_digits_constants_are_their_mean_and_deviation() -> None:
    splits = load_data(DataRequest("digits"))
    shown = splits.normalisation(pixels_of(splits))
    assert shown.mean().item() == pytest.approx(0, abs=1e-3)
    assert shown.std().item() == pytest.approx(1, abs=1e-3)


def test_the_seed_decides_the_split_and_nothing_else_does() -> None:
    item, again, other = (load_data(DataRequest("digits", seed=seed)) for seed in (0, 0, 1))
    assert item.fingerprint == again.fingerprint != other.fingerprint


def test_digits_in_colour_and_larger() -> None:
    splits = load_data(DataRequest("digits", size=16, channels=3))
    assert (splits.channels, splits.size) == (3, 16)
    assert splits.augmentation.crop == 2
    pixels, _ = next(splits.train.batches(4))
    assert pixels.shape == (4, 3, 16, 16)
    assert torch.equal(pixels[:, 0], pixels[:, 2])
    assert splits.normalisation(pixels).shape == (4, 3, 16, 16)


def test_mean_and_std_can_be_given() -> None:
    splits = load_data(DataRequest("digits", mean=(0.0,), std=(1.0,)))
    pixels, _ = next(splits.train.batches(4))
    assert torch.allclose(splits.normalisation(pixels), pixels / 255)


@pytest.mark.parametrize(
    ("options", "augmentation"),
    [
        ({}, Augmentation(1, flip=False)),
        ({"crop": 0}, Augmentation(0, flip=False)),
        ({"flip": True}, Augmentation(1, flip=True)),
        ({"crop": 3, "size": 16}, Augmentation(3, flip=False)),
    ],
)
def test_augmentation_can_be_given_by_parts(
    options: dict[str, Any], augmentation: Augmentation, make_folder: MakeFolder
) -> None:
    splits = load_data(DataRequest("digits", **options))
    assert splits.augmentation == augmentation
    same = splits.fingerprint == load_data(DataRequest("digits")).fingerprint
    assert same == (not options)
    folder = load_data(DataRequest(str(make_folder({"cat": 6, "dog": 6})), flip=False))
    assert folder.augmentation == Augmentation(1, flip=False)


def test_images_are_not_moved_out_of_sight() -> None:
    with pytest.raises(DataError, match="crop must be less than the image size of 8 pixels, got 8"):
        load_data(DataRequest("digits", crop=8))


def test_mean_and_std_must_fit_the_channels() -> None:
    with pytest.raises(DataError, match="3 values, but the images have 1 channel"):
        load_data(DataRequest("digits", mean=(0.5,) * 3, std=(0.2,) * 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "at least 1 pixel, got 0"),
        ({"channels": 2}, "1 .grey. or 3 .colour., got 2"),
        ({"mean": (0.5,)}, "or neither, got only one"),
        ({"crop": -1}, "crop must be 0 or more pixels, got -1"),
    ],
)
def test_a_request_that_cannot_be_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        DataRequest("digits", **options)  # type: ignore[arg-type]


def test_an_unknown_name_brings_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"unknown data set 'cifar1'; did you mean cifar10"):
        load_data(DataRequest("cifar1"))
    with pytest.raises(UnknownName):
        load_data(DataRequest(""))


@pytest.mark.parametrize("name", ["./nowhere", "some/folder", "~/no-such-folder", "~nobody-x/y"])
def test_a_missing_path_is_told_as_one(name: str) -> None:
    with pytest.raises(DataError, match="no such folder: "):
        load_data(DataRequest(name))


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "images.zip").write_bytes(b"")
    with pytest.raises(DataError, match=r"images.zip is a file; expected a folder"):
        load_data(DataRequest(str(tmp_path / "images.zip")))


def test_a_path_too_long_to_exist() -> None:
    with pytest.raises(DataError, match="cannot read"):
        load_data(DataRequest("x" * 5000))


def test_a_folder_in_the_working_folder_needs_no_separator(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder({"cat": 6, "dog": 6})
    monkeypatch.chdir(root.parent)
    assert load_data(DataRequest("pets")).name == "pets"


def test_a_name_wins_over_a_folder_of_that_name(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder({"cat": 6, "dog": 6}, root="digits")
    monkeypatch.chdir(root.parent)
    assert load_data(DataRequest("digits")).classes[0] == "0"
    assert load_data(DataRequest("./digits")).classes == ("cat", "dog")


def test_where_downloads_go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PAREDOWN_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for xdg in (None, "relative/is/invalid"):
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        if xdg:
            monkeypatch.setenv("XDG_CACHE_HOME", xdg)
        assert cache_folder() == tmp_path / "home/.cache/paredown"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg/paredown"
    monkeypatch.setenv("PAREDOWN_CACHE", "~/own")
    assert cache_folder() == tmp_path / "home/own"
    assert DataRequest("digits").download_root == tmp_path / "home/own/data"


def test_grey_levels_of_the_digits_are_the_seventeen_there_are() -> None:
    levels = set(pixels_of(load_data(DataRequest("digits"))).flatten().tolist())
    assert sorted(levels) == np.round(np.arange(17) * 255 / 16).astype(int).tolist()
