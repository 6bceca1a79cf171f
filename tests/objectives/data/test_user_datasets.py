"""Data sets of the user's own: in which forms they may come, and what is said of others."""

import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from paredown.errors import DataError, InputError, UserCodeError
from paredown.objectives.data import DataRequest, MemoryImages, StreamedImages, load_data
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset

PIXELS = torch.randint(0, 256, (60, 3, 8, 8), generator=torch.Generator().manual_seed(0)).to(
    torch.uint8
)
LABELS = torch.arange(60) % 3


class Named:
    """Coloured images with class names, as torchvision's sets have them."""

    classes = ("cat", "dog", "emu")

    def __init__(self, count: int = 60) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        if index >= self.count:
            raise IndexError(index)
        return Image.fromarray(PIXELS[index].permute(1, 2, 0).numpy()), index % 3


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter(Named())


class Changing(Named):
    def __getitem__(self, index: int) -> tuple[Any, int]:
        return torch.rand(3, 8, 8), index % 3


class Broken(Named):
    def __getitem__(self, index: int) -> tuple[Any, int]:
        if index == 17:
            raise OSError("no such photograph")
        return super().__getitem__(index)


Load = Callable[..., Any]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """load(made, size=None, ...) -> the splits of a function that returns it."""

    def call(created: Any, **options: Any) -> Any:
        module = type(sys)("sets_of_the_test")
        module.make = lambda: created  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "sets_of_the_test", module)
        return load_data(DataRequest("sets_of_the_test:make", **options))

    return call


def pairs(images: Any, labels: Any = LABELS) -> list[tuple[Any, Any]]:
    return list(zip(images, labels, strict=True))


def test_two_parts_become_three(load: Load) -> None:
    splits = load((Named(), Named(30)))
    assert splits.name == "sets_of_the_test:make"
    assert splits.classes == ("cat", "dog", "emu")
    assert [len(part) for part in (splits.train, splits.search, splits.test)] == [54, 6, 30]
    assert splits.search.labels.bincount().tolist() == [2, 2, 2]
    pixels, labels = next(splits.test.batches(30))
    assert torch.equal(pixels, PIXELS[:30])
    assert torch.equal(labels, LABELS[:30])
    assert len(splits.normalisation.mean) == 3
    assert load((Named(), Named(30)), seed=1).fingerprint != splits.fingerprint
    assert load((Named(), Named(30))).fingerprint == splits.fingerprint


@pytest.mark.parametrize(
    "made",
    [
        (Named(), Named(30), Named(9)),
        [Named(), Named(30), Named(9)],
        {"train": Named(), "test": Named(30), "search": Named(9)},
        {"test": Named(30), "val": Named(9), "train": Named()},
    ],
)
def test_three_parts_stay_as_they_are(made: Any, load: Load) -> None:
    splits = load(made)
    assert [len(part) for part in (splits.train, splits.search, splits.test)] == [60, 9, 30]


def arrays(change: Callable[[np.ndarray[Any, Any]], Any]) -> list[tuple[Any, Any]]:
    return pairs([change(image.permute(1, 2, 0).numpy()) for image in PIXELS], LABELS.numpy())


@pytest.mark.parametrize(
    "data",
    [
        TensorDataset(PIXELS, LABELS),
        TensorDataset(PIXELS.float() / 255, LABELS),
        TensorDataset(PIXELS.double() / 255, LABELS),
        arrays(lambda image: image),
        arrays(lambda image: image.transpose(2, 0, 1)),
        arrays(lambda image: (image / 255).astype(np.float32)),
        [{"image": image, "label": label} for image, label in (Named()[n] for n in range(60))],
        [{"img": PIXELS[n], "target": label} for n, label in enumerate(LABELS)],
        Subset(Named(), range(60)),  # type: ignore[arg-type]
    ],
    ids=[
        "bytes",
        "floats",
        "doubles",
        "arrays",
        "channels first",
        "float arrays",
        "named",
        "otherwise named",
        "subset",
    ],
)
def test_forms_of_images_and_labels(data: Any, load: Load) -> None:
    splits = load((data, data))
    pixels, labels = next(splits.test.batches(60))
    assert torch.equal(pixels, PIXELS)
    assert torch.equal(labels, LABELS)
    assert splits.classes == (Named.classes if isinstance(data, Subset) else ("0", "1", "2"))
    assert splits.test.fingerprint() == MemoryImages(PIXELS, LABELS).fingerprint()


@pytest.mark.parametrize(
    "image",
    [
        torch.full((8, 8), 51, dtype=torch.uint8),
        torch.full((1, 8, 8), 0.2),
        np.full((8, 8), 51, dtype=np.uint8),
        np.full((8, 8, 1), 0.2),
        Image.new("L", (8, 8), 51),
        Image.fromarray(np.full((8, 8), 51 * 257, dtype=np.uint16)),
    ],
    ids=lambda image: type(image).__name__,
)
def test_grey_images(image: Any, load: Load) -> None:
    data = pairs([image] * 60)
    splits = load((data, data))
    assert (splits.channels, splits.size) == (1, 8)
    assert set(next(splits.test.batches(60))[0].flatten().tolist()) == {51}
    assert load((data, data), channels=3).channels == 3


def test_grey_among_coloured_becomes_coloured(load: Load) -> None:
    images = [image if n % 2 else image[:1] for n, image in enumerate(PIXELS)]
    splits = load((pairs(images), pairs(images)))
    pixels, _ = next(splits.test.batches(60))
    assert torch.equal(pixels[1], PIXELS[1])
    assert torch.equal(pixels[0], PIXELS[0, :1].expand(3, 8, 8))


def test_images_are_fitted_to_one_size_as_a_folders_are(load: Load) -> None:
    wide = [Image.new("RGB", (20 + n, 12), (n, 0, 0)) for n in range(60)]
    splits = load((pairs(wide), Named()), size=6)
    assert splits.train.shape == splits.test.shape == (3, 6, 6)
    pixels, _ = next(splits.train.batches(1))
    assert set(pixels[0, 0].flatten().tolist()) == {int(pixels[0, 0, 0, 0])}


def test_what_does_not_fit_into_memory_is_read_again(load: Load) -> None:
    whole = load((Named(), Named(30)))
    few = load((Named(), Named(30)), max_memory_bytes=1000)
    assert isinstance(whole.train, MemoryImages)
    assert isinstance(few.train, StreamedImages)
    for item, other in zip((few.train, few.search), (whole.train, whole.search), strict=True):
        for ours, theirs in zip(item.batches(7), other.batches(7), strict=True):
            assert torch.equal(ours[0], theirs[0])
            assert torch.equal(ours[1], theirs[1])
    changed = pairs(PIXELS.clone(), LABELS)
    changed[5] = (PIXELS[5] ^ 1, LABELS[5])
    ways = {"max_memory_bytes": 1000}
    assert few.test.fingerprint() == load((Named(), Named(30)), **ways).test.fingerprint()
    assert (
        load((Named(), changed), **ways).test.fingerprint()
        != load((Named(), Named()), **ways).test.fingerprint()
    )


def one_odd(image: Any = None, label: Any = None) -> list[tuple[Any, Any]]:
    """Good items, and one that is not."""
    data = pairs(PIXELS)
    data[7] = (PIXELS[7] if image is None else image, LABELS[7] if label is None else label)
    return data


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (None, r"make returned nothing; expected \(train, test\), or \(train, test, search\)"),
        (Named(), r"make returned a Named; expected"),
        ((Named(),), r"make returned a tuple of 1; expected"),
        ({"train": Named(), "holdout": Named()}, "a dictionary with train, holdout; expected"),
        ((Stream(), Named()), "train, a Stream, has no length; expected a data set with __len__"),
        ((Named(), DataLoader(Named())), "test is a DataLoader; return its data set"),  # type: ignore[arg-type]
        ((Named(), {1, 2}), "test, a set, has no __getitem__"),
        ((Named(), []), "test has no images"),
        (([1, 2], Named()), r"item 0 of train is a int; expected \(image, label\)"),
        (([(1, 2, 3)] * 9, Named()), r"item 0 of train is a tuple of 3; expected"),
        (([{"a": 1}] * 9, Named()), "item 0 of train is a mapping with a; expected image and"),
        ((one_odd("x.png"), Named()), "item 7 of train has an image of type str; expected a PIL"),
        ((one_odd(PIXELS[0, 0, 0]), Named()), r"item 7 of train has an image of shape \[8\]"),
        ((one_odd(PIXELS[0].permute(1, 2, 0)), Named()), r"shape \[8, 8, 3\]; expected \[1 or 3"),
        ((one_odd(PIXELS[0].long()), Named()), "an image of int64; expected uint8 or floats"),
        (
            (one_odd(PIXELS[0] / 64 - 2), Named()),
            "values from -2 to 1.9.*already normalised, remove",
        ),
        ((one_odd(torch.full((3, 8, 8), torch.nan)), Named()), "values from nan to nan"),
        ((Named(), one_odd(PIXELS[0, :, :6])), "in size: item 0 of test has 8x8 pixels, item 7"),
        ((one_odd(PIXELS[0, :, :6]), Named()), "item 7 of train 8x6; set size = N in"),
        ((pairs(PIXELS[:, :, :4]),) * 2, r"images of 8x4 pixels .* are not square; set size = N"),
        ((one_odd(label="cat"), Named()), "item 7 of train has the label 'cat', a str; expected"),
        ((one_odd(label=1.0), Named()), "label '1.0', a float; expected an integer"),
        ((one_odd(label=-1), Named()), "has the label -1; expected 0 or more"),
        ((one_odd(label=torch.eye(3)[0]), Named()), "a Tensor; expected an integer"),
        ((one_odd(label=3), Named()), "the classes of train and test differ: only in train: 3"),
        ((Named(), pairs(PIXELS, LABELS % 2)), "differ: only in train: emu"),
        ((pairs(PIXELS, LABELS % 2), Named()), "differ: only in test: 2"),
        (
            (pairs(PIXELS, LABELS + 1),) * 2,
            "train has no images of class 0; expected images with each label from 0 to 3",
        ),
        ((pairs(PIXELS, LABELS * 0),) * 2, "expected two or more classes, but all labels are 0"),
        ((Named(), one_odd(label=5)), r"a label 5, but train has names for 3 classes \(cat, dog"),
        ((Changing(), Named()), "item 0 of train differs each time it is read: remove rand"),
    ],
)
def test_what_cannot_be_used_is_told(made: Any, told: str, load: Load) -> None:
    with pytest.raises(DataError, match=told):
        load(made)


def test_an_item_that_cannot_be_read_is_told_with_its_line(load: Load) -> None:
    with pytest.raises(
        UserCodeError,
        match=r"reading item 17 of test failed with OSError: no such photograph\n  in .*, line \d+",
    ):
        load((Named(), Broken()))


def test_functions_that_fail_or_are_not_there_are_told(tmp_path: Path) -> None:
    (tmp_path / "sets.py").write_text("def make():\n    return 1 / 0\ndef needs(root): ...\n")
    with pytest.raises(UserCodeError, match=r"ZeroDivisionError.*\n  in .*sets.py, line 2: return"):
        load_data(DataRequest(f"{tmp_path}/sets.py:make"))
    with pytest.raises(
        InputError, match=r"required argument root.* supplies no arguments; give it a default"
    ):
        load_data(DataRequest(f"{tmp_path}/sets.py:needs"))
    with pytest.raises(InputError, match=r"has no 'mak'; did you mean make"):
        load_data(DataRequest(f"{tmp_path}/sets.py:mak"))
    with pytest.raises(InputError, match=r"expected package.module:function"):
        load_data(DataRequest(f"{tmp_path}/sets.py"))


def test_a_folder_with_a_colon_is_a_folder(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / "my:set" / label).mkdir(parents=True)
        for number in range(6):
            Image.new("L", (4, 4), random.Random(number).randrange(256)).save(
                tmp_path / "my:set" / label / f"{number}.png"
            )
    assert load_data(DataRequest(str(tmp_path / "my:set"))).classes == ("a", "b")
