"""Where search images come from: with given weights, none that these have seen."""

import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from paredown import extend
from paredown._torchvision import torchvision
from paredown.errors import DataError
from paredown.objectives.data import (
    SOURCES,
    DataRequest,
    ImageSet,
    MemoryImages,
    SearchSource,
    Splits,
    give_data,
    load_data,
)
from paredown.objectives.evaluation.task import Task
from paredown.objectives.training.recipe import Recipes
from PIL import Image

Source = Callable[[int, int], DataRequest]
TRAIN, TEST = 40, 12
"""Images of each class."""

CLASSES = ("cat", "dog", "emu")


def pixels(count: int, seed: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, 8, 8), generator=draw, dtype=torch.uint8)


def labels(each: int) -> torch.Tensor:
    return torch.arange(3 * each) % 3


def sets(train: int, test: int) -> tuple[Any, Any]:
    """Items of (image, label); no image is there twice."""
    parts = ((pixels(3 * train, 0), labels(train)), (pixels(3 * test, 1), labels(test)))
    ours, theirs = (list(zip(images, answers, strict=True)) for images, answers in parts)
    return ours, theirs


@pytest.fixture
def from_function(monkeypatch: pytest.MonkeyPatch) -> Source:
    def make(train: int, test: int) -> DataRequest:
        module = type(sys)("sets_of_the_test")
        module.make = lambda: sets(train, test)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "sets_of_the_test", module)
        return DataRequest("sets_of_the_test:make")

    return make


@pytest.fixture
def from_function_streamed(from_function: Source) -> Source:
    return lambda train, test: replace(from_function(train, test), max_memory_bytes=1)


@pytest.fixture
def from_objects() -> Iterator[Source]:
    stored = list[object]()

    def make(train: int, test: int) -> DataRequest:
        name, source = give_data(*sets(train, test))
        stored.append(source)  # the name stands for it as long as somebody keeps it
        return DataRequest(name)

    yield make
    stored.clear()


@pytest.fixture
def from_folder(tmp_path: Path) -> Source:
    def make(train: int, test: int) -> DataRequest:
        shutil.rmtree(tmp_path / "pets", ignore_errors=True)
        for part, items in zip(("train", "test"), sets(train, test), strict=True):
            for number, (image, label) in enumerate(items):
                place = tmp_path / "pets" / part / CLASSES[label]
                place.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image.permute(1, 2, 0).numpy()).save(place / f"{number:03}.png")
        return DataRequest(str(tmp_path / "pets"))

    return make


@pytest.fixture
def from_folder_streamed(from_folder: Source) -> Source:
    return lambda train, test: replace(from_folder(train, test), max_memory_bytes=1)


class Whole:
    """As torchvision's CIFAR sets."""

    classes: ClassVar[tuple[str, ...]] = CLASSES
    counts = (TRAIN, TEST)

    def __init__(self, root: Path, train: bool, download: bool) -> None:
        count = self.counts[0] if train else self.counts[1]
        self.data = pixels(3 * count, 0 if train else 1).permute(0, 2, 3, 1).numpy()
        self.targets = labels(count).tolist()


class InParts:
    """As torchvision's sets in named parts."""

    counts = (TRAIN, TEST)

    def __init__(self, root: Path, split: str, download: bool) -> None:
        self.items: list[tuple[Any, int]] = sets(*self.counts)[split == "test"]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.items[index]


@pytest.fixture
def from_torchvision(monkeypatch: pytest.MonkeyPatch) -> Source:
    def make(train: int, test: int) -> DataRequest:
        monkeypatch.setattr(Whole, "counts", (train, test))
        monkeypatch.setattr(torchvision.datasets, "CIFAR10", Whole)
        return DataRequest("cifar10", size=8)

    return make


@pytest.fixture
def from_torchvision_resized(from_torchvision: Source) -> Source:
    return lambda train, test: replace(from_torchvision(train, test), size=10)


@pytest.fixture
def from_torchvision_in_parts(monkeypatch: pytest.MonkeyPatch) -> Source:
    def make(train: int, test: int) -> DataRequest:
        monkeypatch.setattr(InParts, "counts", (train, test))
        monkeypatch.setattr(torchvision.datasets, "SVHN", InParts)
        return DataRequest("svhn", size=8)

    return make


def registered(
    monkeypatch: pytest.MonkeyPatch,
    split: Callable[[ImageSet, ImageSet, DataRequest], tuple[ImageSet, ImageSet, ImageSet]],
) -> Source:
    """A source of the user's own, in the words of `paredown.extend`."""
    monkeypatch.setattr(SOURCES, "_records", dict(SOURCES._records))
    monkeypatch.setattr(SOURCES, "_files", dict(SOURCES._files))

    def make(train: int, test: int) -> DataRequest:
        def load(request: DataRequest) -> Splits:
            ours = extend.fit(pixels(3 * train, 0), labels(train), request)
            theirs = extend.fit(pixels(3 * test, 1), labels(test), request)
            normalisation = extend.Normalisation((0.5,), (0.25,))
            preset = extend.Preset(normalisation, extend.Augmentation(), size=8)
            parts = split(ours, theirs, request)
            return extend.fitted_splits(parts, CLASSES, "own", preset, request)

        SOURCES.register(extend.DataSource("own", "a test's", load), replace=True)
        return DataRequest("own")

    return make


@pytest.fixture
def from_source(monkeypatch: pytest.MonkeyPatch) -> Source:
    """It knows nothing of where search images come from: written before there was a choice."""
    return registered(
        monkeypatch,
        lambda train, test, request: (*extend.split_two(train, request.seed), test),
    )


@pytest.fixture
def from_source_in_parts(monkeypatch: pytest.MonkeyPatch) -> Source:
    return registered(
        monkeypatch,
        lambda train, test, request: extend.split_parts(
            {"train": train, "test": test}, request, classes=CLASSES
        ),
    )


@pytest.fixture(
    params=[
        "from_folder",
        "from_folder_streamed",
        "from_function",
        "from_function_streamed",
        "from_objects",
        "from_torchvision",
        "from_torchvision_resized",
        "from_torchvision_in_parts",
        "from_source",
        "from_source_in_parts",
    ]
)
def source(request: pytest.FixtureRequest) -> Source:
    """source(train, test): a data set with so many images of each class in these parts."""
    created: Source = request.getfixturevalue(request.param)
    return created


def images(part: ImageSet) -> Counter[bytes]:
    outputs, _ = next(part.batches(len(part)))
    return Counter(image.numpy().tobytes() for image in outputs)


def test_given_weights_have_seen_no_search_image(source: Source) -> None:
    plain = load_data(request := source(TRAIN, TEST))
    assert plain.search_from is SearchSource.TRAIN
    train, test = images(plain.train) + images(plain.search), images(plain.test)
    assert [len(plain.train), len(plain.search)] == [3 * TRAIN * 9 // 10, 3 * TRAIN // 10]
    splits = load_data(replace(request, weights_given=True))
    assert splits.search_from is SearchSource.TEST
    assert images(splits.train) == train, "the training images are left whole"
    search, rest = images(splits.search), images(splits.test)
    assert not search & train
    assert not search & rest
    assert search + rest == test
    for part in (splits.search, splits.test):
        assert part.labels.bincount().tolist() == [TEST // 2] * 3
    assert splits.classes == plain.classes
    again, other = (load_data(replace(request, weights_given=True, seed=seed)) for seed in (0, 1))
    assert again.fingerprint == splits.fingerprint
    assert images(other.search) != search, "split_seed decides which half"


def test_the_request_goes_before_what_weights_say(source: Source) -> None:
    request = source(TRAIN, TEST)
    expected = {
        known: load_data(replace(request, weights_given=known)).fingerprint
        for known in (False, True)
    }
    for known in (False, True):
        asked = replace(request, weights_given=known)
        assert load_data(replace(asked, search="train")).fingerprint == expected[False]
        assert load_data(replace(asked, search="test")).fingerprint == expected[True]


def test_odd_images_out_stay_with_the_test_split(source: Source) -> None:
    splits = load_data(replace(source(20, 5), search="test"))
    assert len(splits.search) + len(splits.test) == 15
    for part in (splits.search, splits.test):
        assert set(part.labels.bincount().tolist()) <= {2, 3}
    assert len(splits.test) == 8


def test_two_test_images_of_a_class_are_enough_and_one_is_not(source: Source) -> None:
    splits = load_data(replace(source(20, 2), weights_given=True))
    assert splits.search.labels.bincount().tolist() == [1, 1, 1]
    with pytest.raises(DataError) as caught:
        load_data(replace(source(19, 1), weights_given=True))
    text = str(caught.value)
    assert "needs at least 2, but class '" in text
    assert 'search = "train" in [data]' in text


def test_few_training_images_are_enough_where_none_is_split_off(from_function: Source) -> None:
    request = from_function(3, 10)
    assert len(load_data(replace(request, weights_given=True)).train) == 9
    with pytest.raises(DataError, match="too few images to split into 2 parts"):
        load_data(request)


@pytest.mark.parametrize("asked", ["train", "test"])
def test_a_search_part_of_the_datas_own_is_used(asked: Any, tmp_path: Path) -> None:
    (ours, theirs), (searched, _) = sets(TRAIN, TEST), sets(6, 6)
    name, remaining = give_data(ours, theirs, [(255 - image, label) for image, label in searched])
    request = DataRequest(name, weights_given=True)
    splits = load_data(request)
    assert splits.search_from is SearchSource.OWN
    assert [len(item) for item in (splits.train, splits.search, splits.test)] == [120, 18, 36]
    with pytest.raises(DataError, match=r"its own search part; remove this key"):
        load_data(replace(request, search=asked))
    assert remaining


def test_what_a_source_has_halved_itself_is_not_put_together_wrongly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its search images come from the test images already, whatever the parts are called."""

    def split(train: ImageSet, test: ImageSet, request: DataRequest) -> Any:
        rest, search = extend.split_two(test, request.seed, 0.5)
        return train, search, rest

    request = registered(monkeypatch, split)(TRAIN, TEST)
    splits = load_data(replace(request, weights_given=True))
    assert splits.search_from is SearchSource.TEST
    assert [len(item) for item in (splits.train, splits.search, splits.test)] == [120, 18, 18]
    with pytest.raises(DataError, match="remove this key"):
        load_data(replace(request, search="train"))


def test_without_a_test_part_all_is_drawn_from_one_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name, remaining = give_data(sets(TRAIN, TEST)[0])

    def twice(train: ImageSet, test: ImageSet, request: DataRequest) -> Any:
        rest, test = extend.split_two(train, request.seed, 0.2)
        return (*extend.split_two(rest, request.seed), test)

    for request in (
        DataRequest("digits"),
        DataRequest(name),
        registered(monkeypatch, twice)(TRAIN, TEST),
    ):
        plain, known = load_data(request), load_data(replace(request, weights_given=True))
        assert plain.search_from is known.search_from is SearchSource.WHOLE
        assert plain.fingerprint == known.fingerprint
        same = load_data(replace(request, search="train", weights_given=True))
        assert same.fingerprint == plain.fingerprint
        with pytest.raises(DataError, match="the data set has no test part"):
            load_data(replace(request, search="test"))
    assert remaining


def test_tasks_with_weights_ask_for_unseen_images(from_function: Source, tmp_path: Path) -> None:
    request = from_function(TRAIN, TEST)

    def searched(request: DataRequest, weights: Path | None) -> Any:
        return Task.load("resnet8", request, Recipes(), 0, weights).splits.search_from

    weights = tmp_path / "w.safetensors"
    assert searched(request, None) is SearchSource.TRAIN
    assert searched(request, weights) is SearchSource.TEST
    assert searched(replace(request, search="train"), weights) is SearchSource.TRAIN
    assert searched(replace(request, search="test"), None) is SearchSource.TEST


def test_whole_sets_are_not_kept_in_memory(from_source: Source) -> None:
    for provided in (False, True):
        splits = load_data(replace(from_source(TRAIN, TEST), weights_given=provided))
        assert isinstance(splits.search, MemoryImages)
        assert splits.search.split_off is splits.test.split_off is None


def test_a_source_may_keep_its_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is loaded twice is the same twice, even if the source hands out the same objects."""
    make = registered(
        monkeypatch, lambda train, test, request: (*extend.split_two(train, request.seed), test)
    )
    request = make(TRAIN, TEST)
    source = SOURCES.get("own")
    remaining = source.load(request)
    SOURCES.register(replace(source, load=lambda request: remaining), replace=True)
    results = [
        load_data(replace(request, weights_given=provided)) for provided in (True, False, True)
    ]
    assert [item.search_from for item in results] == ["test", "train", "test"]
    assert results[0].fingerprint == results[2].fingerprint


def test_search_is_train_or_test() -> None:
    with pytest.raises(DataError, match='search must be "train" or "test", got \'val\''):
        DataRequest("digits", search="val")  # type: ignore[arg-type]


def test_pixels_of_the_test_are_all_different() -> None:
    every = np.concatenate([pixels(120, 0).numpy(), pixels(36, 1).numpy()])
    assert len({image.tobytes() for image in every}) == len(every)
