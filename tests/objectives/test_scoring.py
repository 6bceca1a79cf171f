"""Scoring against a plain loop over single images."""

import copy
from collections.abc import Callable

import pytest
import torch
from paredown.objectives.accuracy.scoring import Metric, Score, accuracy_step, score
from paredown.objectives.data import MemoryImages, Normalisation
from paredown.objectives.training.training_loop import seeded
from paredown.spaces.models import build_model
from sklearn.metrics import balanced_accuracy_score
from torch import nn

MakeImages = Callable[..., MemoryImages]
PLAIN = Normalisation((0.4,), (0.3,))


@pytest.fixture
def network() -> nn.Module:
    with seeded(0):
        return build_model("resnet8", 4, 1)


def one_by_one(network: nn.Module, images: MemoryImages) -> list[bool]:
    network = copy.deepcopy(network).eval()
    right = []
    for pixels, label in zip(images.images, images.labels.tolist(), strict=True):
        shown = (pixels[None].float() / 255 - 0.4) / 0.3
        with torch.no_grad():
            right.append(int(network(shown).argmax()) == label)
    return right


@pytest.mark.parametrize("batch_size", [1, 7, 64, 256])
def test_scores_are_those_of_a_plain_loop(
    make_images: MakeImages, network: nn.Module, batch_size: int
) -> None:
    images = make_images(50)
    expected = one_by_one(network, images)
    got = score(network, images, PLAIN, batch_size)
    assert got.correct.tolist() == expected  # image by image, in order
    assert got.accuracy == 100 * sum(expected) / 50
    assert 0 < sum(expected) < 50


def test_scoring_changes_nothing_but_the_mode(make_images: MakeImages, network: nn.Module) -> None:
    before = copy.deepcopy(network.state_dict())
    torch.manual_seed(5)
    numbers = torch.get_rng_state()
    score(network.train(), make_images(20), PLAIN)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), numbers)
    assert not network.training


def test_dropout_has_no_part_in_scores(make_images: MakeImages) -> None:
    with seeded(0):
        network = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(64, 4)).train()
    images = make_images(100)
    assert score(network, images, PLAIN).correct.tolist() == one_by_one(network, images)


@pytest.mark.parametrize(
    ("correct", "accuracy"),
    [([True], 100.0), ([False], 0.0), ([True, False], 50.0), ([True, True, True, False], 75.0)],
)
def test_accuracy_is_in_percent(correct: list[bool], accuracy: float) -> None:
    assert Score(torch.tensor(correct)).accuracy == accuracy


def test_accuracy_does_not_lose_single_images() -> None:
    many = torch.ones(10_000_001, dtype=torch.bool)  # more than float32 can count apart
    many[0] = False
    assert Score(many).accuracy == pytest.approx(100 * 10_000_000 / 10_000_001, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_balanced_accuracy_is_scikit_learns(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    labels = torch.multinomial(torch.tensor([0.7, 0.2, 0.0, 0.1]), 200, True, generator=random)
    answers = torch.where(torch.rand(200, generator=random) < 0.7, labels, 0)
    value = Score(answers == labels, labels).accuracy
    assert value == pytest.approx(100 * balanced_accuracy_score(labels, answers))
    assert Score(answers == labels).accuracy > value, "the large class is the easy one"


def test_networks_are_scored_by_the_metric_asked(
    make_images: MakeImages, network: nn.Module
) -> None:
    images = make_images(60).subset([n for n in range(60) if n % 4 < 2 or n < 20])
    plain, balanced = (score(network, images, PLAIN, metric=metric) for metric in Metric)
    assert torch.equal(plain.correct, balanced.correct)
    recalls = [plain.correct[images.labels == label].double().mean() for label in range(4)]
    assert balanced.accuracy == pytest.approx(100 * float(sum(recalls)) / 4)


def test_the_smallest_step_between_two_accuracies() -> None:
    def images(*counts: int) -> MemoryImages:
        labels = torch.cat([torch.full((n,), label) for label, n in enumerate(counts)])
        return MemoryImages(torch.zeros(len(labels), 1, 2, 2, dtype=torch.uint8), labels)

    assert accuracy_step(images(36, 36), Metric.PLAIN) == 100 / 72
    assert accuracy_step(images(36, 36), Metric.BALANCED) == pytest.approx(100 / 72)
    # a right one of 4 is 12.5 points, one of 6 is 8.33: they meet at multiples of 100 / 24.
    assert accuracy_step(images(4, 6), Metric.BALANCED) == pytest.approx(100 / 24)
    assert accuracy_step(images(4, 0, 6), Metric.BALANCED) == pytest.approx(100 / 24)
