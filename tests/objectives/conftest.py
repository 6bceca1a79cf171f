"""What the tests of objectives share: one thread, easy images, and a small network on digits."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from paredown.objectives.data import DataRequest, MemoryImages, Splits, load_data
from paredown.objectives.evaluation.evaluator import Evaluator
from paredown.objectives.evaluation.task import Task
from paredown.objectives.training.cache import Cache
from paredown.objectives.training.progress import Progress
from paredown.objectives.training.recipe import Recipe, Recipes
from paredown.spaces.graph.tracing import example_images
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.space import Space
from safetensors.torch import save_file

torch.set_num_threads(1)


MakeImages = Callable[..., MemoryImages]
MakeEvaluator = Callable[..., Evaluator]

QUICK = Recipes(
    baseline=Recipe(epochs=3, max_lr=0.1, batch_size=64),
    train=Recipe(epochs=1, max_lr=0.05, batch_size=64, distill=0.5),
    fine_tune=Recipe(epochs=1, max_lr=0.02, batch_size=64, distill=0.5),
)


@pytest.fixture(scope="session")
def make_images() -> MakeImages:
    """make_images(count, size=8, channels=1, seed=0) -> four classes: which quadrant is bright."""

    def make(count: int, size: int = 8, channels: int = 1, seed: int = 0) -> MemoryImages:
        random = torch.Generator().manual_seed(seed)
        labels = torch.arange(count) % 4
        pixels = torch.randint(0, 100, (count, channels, size, size), generator=random)
        half = size // 2
        for index, label in enumerate(labels.tolist()):
            top, left = half * (label // 2), half * (label % 2)
            pixels[index, :, top : top + half, left : left + half] += 120
        return MemoryImages(pixels.to(torch.uint8), labels)

    return make


class Stages(Progress):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.stages, self.promised, self.epochs = list[str](), list[int](), list[int]()

    def stage(self, name: str, epochs: int = 0) -> None:
        self.stages.append(name)
        self.promised.append(epochs)

    def epoch(self, done: int, loss: float) -> None:
        self.epochs.append(done)


@pytest.fixture(scope="session")
def digits() -> Splits:
    """scikit-learn's digits, grey."""
    return load_data(DataRequest("digits"))


@pytest.fixture(scope="session")
def make_evaluator(digits: Splits) -> MakeEvaluator:
    """make_evaluator(folder, seed, weights, splits, train=Recipe(...)) -> one with a cache there.

    The model is resnet8; recipes that are not given are quick. The evaluator's progress has lists
    of the `stages`, the epochs `promised` for each, and the epochs done.
    """
    network = Task("resnet8", digits).build()
    space = Space.of(trace_with_groups(network, example_images(1, 8)))

    def make(
        folder: Path,
        seed: int = 0,
        weights: Path | None = None,
        splits: Splits = digits,
        **recipes: Recipe,
    ) -> Evaluator:
        task = Task("resnet8", splits, dataclasses.replace(QUICK, **recipes), seed, weights)
        return Evaluator(task, space, Cache(folder), Stages())

    return make


@pytest.fixture(scope="session")
def filled(make_evaluator: MakeEvaluator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the baseline alone. Copy it, do not change it."""
    folder = tmp_path_factory.mktemp("filled")
    _ = make_evaluator(folder).baseline
    return folder


@pytest.fixture(scope="session")
def evaluator(
    make_evaluator: MakeEvaluator, filled: Path, tmp_path_factory: pytest.TempPathFactory
) -> Evaluator:
    """An evaluator whose cache fills up as tests use it."""
    folder = tmp_path_factory.mktemp("shared") / "networks"
    shutil.copytree(filled, folder)
    return make_evaluator(folder)


@pytest.fixture
def own(filled: Path, tmp_path: Path) -> Path:
    """A cache of the test's own, with the baseline in it."""
    return Path(shutil.copytree(filled, tmp_path / "networks"))


@pytest.fixture(scope="session")
def baseline_file(evaluator: Evaluator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The baseline's weights, as a user would give them."""
    path = tmp_path_factory.mktemp("weights") / "baseline.safetensors"
    save_file({n: t.contiguous() for n, t in evaluator.baseline.state_dict().items()}, path)
    return path
