"""Scoring against a plain loop over single images."""

import copy
from collections.abc import Callable

import pytest
import torch
from paredown.objectives.data import MemoryImages, Normalisation
from paredown.objectives.scoring import Score, score
from paredown.objectives.training import seeded
from paredown.spaces.models import build_model
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
