"""Tasks: which images a model gets, which weights it starts from, and what names the baseline."""

import dataclasses
from pathlib import Path

import pytest
import torch
from paredown.errors import DataError, ModelError, UnknownName, WeightsError
from paredown.objectives.data import Augmentation, DataRequest, MemoryImages, Splits, load_data
from paredown.objectives.data.digits import NORMALISATION
from paredown.objectives.evaluation.task import Task
from paredown.objectives.training.recipe import Recipe, Recipes
from paredown.objectives.training.training_loop import seeded
from paredown.spaces.models import build_model
from safetensors.torch import save_file
from torch import nn

DIGITS = DataRequest("digits")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a grey resnet8 for ten classes, as no seed of a task would draw them."""
    with seeded(4321):
        network = build_model("resnet8", 10, 1)
    path = tmp_path_factory.mktemp("weights") / "resnet8.safetensors"
    save_file(network.state_dict(), path)
    return path


def same(module: nn.Module, other: nn.Module) -> bool:
    ours, theirs = module.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)


def loaded(model: str, data: DataRequest = DIGITS) -> Task:
    return Task.load(model, data, Recipes(), seed=0, weights=None)


@pytest.mark.parametrize(("model", "channels"), [("resnet8", 1), ("mobilenet_v2", 3)])
def test_images_have_as_many_channels_as_the_model_takes(model: str, channels: int) -> None:
    task = loaded(model)
    assert task.splits.channels == channels
    assert (task.classes, task.splits.size) == (10, 8)
    network = task.build().eval()
    pixels, labels = next(task.splits.train.batches(4))
    with torch.no_grad():
        assert network(task.splits.normalisation(pixels)).shape == (len(labels), 10)


def test_the_users_channels_come_first() -> None:
    task = loaded("resnet8", dataclasses.replace(DIGITS, channels=3))
    assert task.splits.channels == 3
    assert task.build().get_submodule("conv1").weight.shape == (16, 3, 3, 3)


def test_channels_that_the_model_cannot_take_are_told() -> None:
    task = loaded("mobilenet_v2", dataclasses.replace(DIGITS, channels=1))
    with pytest.raises(ModelError, match="3 channels, got 1"):
        task.build()


def test_unknown_names_are_told() -> None:
    with pytest.raises(UnknownName, match="did you mean resnet8"):
        loaded("resnet-8")
    with pytest.raises(UnknownName, match="did you mean digits"):
        loaded("resnet8", DataRequest("digit"))
    with pytest.raises(DataError, match="no such folder"):
        loaded("resnet8", DataRequest("./digits-of-mine"))


def test_initial_weights_follow_the_seed_alone(digits: Splits) -> None:
    torch.manual_seed(1)
    module = Task("resnet8", digits, seed=3).build()
    torch.manual_seed(2)
    before = torch.get_rng_state()
    two = Task("resnet8", digits, seed=3).build()
    assert torch.equal(torch.get_rng_state(), before)
    assert same(module, two)
    assert not same(module, Task("resnet8", digits, seed=4).build())


def test_given_weights_come_before_the_seed(digits: Splits, weights: Path) -> None:
    with seeded(4321):
        expected = build_model("resnet8", 10, 1)
    for seed in (0, 1):
        assert same(Task("resnet8", digits, seed=seed, weights=weights).build(), expected)
    assert not same(Task("resnet8", digits).build(), expected)


def test_weights_of_another_network_do_not_fit(digits: Splits, weights: Path) -> None:
    for model in ("resnet14", "resnet20"):
        with pytest.raises(WeightsError, match=r"(?s)do not match.*missing: layer1\.1"):
            Task(model, digits, weights=weights).build()
    colour = load_data(dataclasses.replace(DIGITS, channels=3))
    with pytest.raises(WeightsError, match=r"conv1\.weight: expected shape \(16, 3, 3, 3\)"):
        Task("resnet8", colour, weights=weights).build()


def test_weights_that_cannot_be_read_are_told(digits: Splits, tmp_path: Path) -> None:
    for path in (tmp_path / "missing.safetensors", tmp_path):
        task = Task("resnet8", digits, weights=path)
        with pytest.raises(WeightsError):
            task.build()
        with pytest.raises(WeightsError, match="cannot be read"):
            _ = task.baseline_key
    (tmp_path / "broken.safetensors").write_bytes(b"no weights")
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        Task("resnet8", digits, weights=tmp_path / "broken.safetensors").build()


def moved(images: object) -> MemoryImages:
    """The same images with one pixel changed."""
    assert isinstance(images, MemoryImages)
    pixels = images.images.clone()
    pixels[0, 0, 0, 0] ^= 1
    return MemoryImages(pixels, images.labels)


def relabelled(images: object) -> MemoryImages:
    assert isinstance(images, MemoryImages)
    return MemoryImages(images.images, (images.labels + 1) % 10)


def recipes(baseline: Recipe | None = None, **others: Recipe) -> Recipes:
    return Recipes(baseline=baseline or Recipe(epochs=3), **others)


def test_the_key_names_all_that_the_baseline_comes_from(digits: Splits, weights: Path) -> None:
    task = Task("resnet8", digits, recipes())
    other_data = [
        dataclasses.replace(digits, train=moved(digits.train)),
        dataclasses.replace(digits, train=relabelled(digits.train)),
        dataclasses.replace(digits, train=digits.train.subset(range(500))),
        dataclasses.replace(digits, train=digits.search, search=digits.train),
        dataclasses.replace(digits, augmentation=Augmentation(crop=2)),
        dataclasses.replace(digits, normalisation=NORMALISATION.__class__((0.5,), (0.5,))),
    ]
    others = [
        task,
        Task("resnet14", digits, recipes()),
        Task("resnet8", digits, recipes(), seed=1),
        Task("resnet8", digits, recipes(), weights=weights),
        *(Task("resnet8", data, recipes()) for data in other_data),
        *(
            Task("resnet8", digits, recipes(dataclasses.replace(recipes().baseline, **change)))
            for change in ({"epochs": 4}, {"max_lr": 0.1}, {"batch_size": 64}, {"momentum": 0.8})
        ),
    ]
    keys = [other.baseline_key for other in others]
    assert len(set(keys)) == len(keys)


def test_the_key_does_not_name_anything_else(digits: Splits) -> None:
    task = Task("resnet8", digits, recipes())
    others = [
        Task("resnet8", load_data(DIGITS), recipes()),
        Task("resnet8", dataclasses.replace(digits, name="my digits"), recipes()),
        Task("resnet8", digits, recipes(train=Recipe(epochs=7))),
        Task("resnet8", digits, recipes(fine_tune=Recipe(epochs=7))),
    ]
    assert {other.baseline_key for other in others} == {task.baseline_key}


def test_given_weights_are_named_by_what_they_hold(
    digits: Splits, weights: Path, tmp_path: Path
) -> None:
    def key(path: Path, recipe: Recipe) -> str:
        return Task("resnet8", digits, recipes(recipe), weights=path).baseline_key

    copied = tmp_path / "copied.safetensors"
    copied.write_bytes(weights.read_bytes())
    # A recipe that is not followed does not count.
    assert key(weights, Recipe(epochs=1)) == key(copied, Recipe(epochs=2))
    copied.write_bytes(weights.read_bytes()[:-1] + b"!")
    assert key(weights, Recipe(epochs=1)) != key(copied, Recipe(epochs=1))
