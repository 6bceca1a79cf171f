"""The training loop: it learns, repeats itself, says when it fails, and touches nothing else."""

import copy
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy
import pytest
import torch
import torch.nn.functional as F
from paredown.errors import TrainingDiverged
from paredown.objectives.data import Augmentation, MemoryImages, Normalisation
from paredown.objectives.training.device import has_bf16
from paredown.objectives.training.progress import Progress
from paredown.objectives.training.recipe import Recipe
from paredown.objectives.training.training_loop import seeded, train
from paredown.spaces.models import build_model
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

MakeImages = Callable[..., MemoryImages]
PLAIN = Normalisation((0.5,), (0.25,))
STILL = Augmentation()
MOVED = Augmentation(crop=1, flip=True)
EXACT = 0.05 if has_bf16(torch.device("cpu")) else 1e-4
"""How near a loss comes to its formula: training may compute in bfloat16."""
SHORT = Recipe(epochs=2, max_lr=0.1, batch_size=32)


class Losses(Progress):
    """Writes down what it is told of epochs."""

    def __init__(self) -> None:
        self.epochs, self.losses = list[int](), list[float]()

    def epoch(self, done: int, loss: float) -> None:
        self.epochs.append(done)
        self.losses.append(loss)


def fresh(seed: int = 0) -> nn.Module:
    with seeded(seed):
        return build_model("resnet8", 4, 1)


def with_dropout() -> nn.Module:
    with seeded(0):
        return nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(8 * 36, 4)
        )


def trained(
    network: nn.Module,
    images: MemoryImages,
    recipe: Recipe = SHORT,
    seed: int = 0,
    augmentation: Augmentation = STILL,
    teacher: nn.Module | None = None,
) -> tuple[nn.Module, Losses]:
    losses = Losses()
    train(network, images, PLAIN, augmentation, recipe, seed, teacher, losses)
    return network, losses


def answers(network: nn.Module, images: MemoryImages) -> torch.Tensor:
    with torch.no_grad():
        scores: torch.Tensor = copy.deepcopy(network).eval()(PLAIN(images.images))
    return scores.argmax(1)


def accuracy(network: nn.Module, images: MemoryImages) -> float:
    return (answers(network, images) == images.labels).double().mean().item()


def state(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(data: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return data.keys() == other.keys() and all(
        torch.equal(data[name], other[name]) for name in data
    )


@pytest.fixture(scope="module")
def images(make_images: MakeImages) -> MemoryImages:
    return make_images(256)


@pytest.fixture(scope="module")
def unseen(make_images: MakeImages) -> MemoryImages:
    return make_images(200, seed=1)


@pytest.fixture(scope="module")
def expert(images: MemoryImages) -> nn.Module:
    """A network that knows the classes."""
    return trained(fresh(), images, Recipe(epochs=4, max_lr=0.1, batch_size=32))[0]


def test_training_learns(images: MemoryImages, unseen: MemoryImages) -> None:
    network = fresh()
    assert accuracy(network, unseen) < 0.6
    network, reported = trained(network, images, Recipe(epochs=4, max_lr=0.1, batch_size=32))
    assert reported.losses[-1] < reported.losses[0] / 2
    assert accuracy(network, unseen) > 0.95


def test_every_epoch_is_told_once(images: MemoryImages) -> None:
    _, reported = trained(fresh(), images, Recipe(epochs=3, batch_size=64))
    assert reported.epochs == [1, 2, 3]


def test_the_network_ends_in_evaluation_mode(images: MemoryImages) -> None:
    for recipe in (SHORT, Recipe(epochs=0)):
        network, _ = trained(fresh().train(), images, recipe)
        assert not any(module.training for module in network.modules())


@pytest.mark.parametrize("build", [fresh, with_dropout])
def test_the_same_seed_gives_the_same_weights_to_the_bit(
    build: Callable[[], nn.Module], images: MemoryImages
) -> None:
    torch.manual_seed(1)
    module, _ = trained(build(), images, augmentation=MOVED)
    torch.manual_seed(2)
    two, _ = trained(build(), images, augmentation=MOVED)
    other, _ = trained(build(), images, augmentation=MOVED, seed=1)
    assert same(state(module), state(two))
    assert not same(state(module), state(other))


def test_the_seed_decides_the_order_of_the_images(images: MemoryImages) -> None:
    module, _ = trained(fresh(), images, seed=0)
    other, _ = trained(fresh(), images, seed=1)
    assert not same(state(module), state(other))


def test_the_loss_told_is_the_mean_over_the_epoch(images: MemoryImages) -> None:
    with seeded(0):
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    with torch.no_grad():
        expected = F.cross_entropy(network(PLAIN(images.images)), images.labels).item()
    # So small a rate that the weights stay: then the order of the images does not matter.
    _, reported = trained(network, images, Recipe(epochs=2, max_lr=1e-12, batch_size=32))
    assert reported.losses == pytest.approx([expected] * 2, rel=EXACT)


def test_random_numbers_outside_are_skipped(images: MemoryImages) -> None:
    def draw() -> tuple[float, float, float]:
        return torch.rand(()).item(), random.random(), float(numpy.random.random())

    def set_seeds() -> None:
        torch.manual_seed(5)
        random.seed(5)
        numpy.random.seed(5)

    set_seeds()
    expected = draw()
    set_seeds()
    trained(with_dropout(), images, augmentation=MOVED)
    assert draw() == expected


def test_seeded_gives_the_caller_his_numbers_back_even_after_an_error() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with pytest.raises(RuntimeError), seeded(9):
        torch.rand(100).view(7)  # a hundred are no seven
    assert torch.equal(torch.rand(3), expected)
    with seeded(9):
        tensor = torch.rand(3)
    with seeded(9):
        assert torch.equal(torch.rand(3), tensor)


def test_no_epochs_leave_everything_as_it_is(images: MemoryImages) -> None:
    network = fresh()
    before = state(network)
    _, reported = trained(network, images, Recipe(epochs=0))
    assert same(state(network), before)
    assert reported.epochs == []


def test_fewer_images_than_a_batch_still_train(make_images: MakeImages) -> None:
    few = make_images(20)
    _, reported = trained(fresh(), few, Recipe(epochs=8, max_lr=0.05, batch_size=128))
    assert reported.losses[-1] < reported.losses[0] / 2


def test_a_last_batch_of_one_image_does_not_break_batch_norm(make_images: MakeImages) -> None:
    # On 4x4 images the last stage has one pixel, and batch norm refuses one value per channel.
    network, reported = trained(fresh(), make_images(65, size=4), Recipe(epochs=1, batch_size=32))
    assert len(reported.losses) == 1
    assert all(tensor.isfinite().all() for tensor in state(network).values())


@pytest.mark.parametrize(
    ("epochs", "warmup"), [(1, 0.1), (2, 0.1), (2, 0.5), (4, 0.25), (5, 0.2), (10, 0.1), (20, 0.05)]
)
def test_short_schedules_work(make_images: MakeImages, epochs: int, warmup: float) -> None:
    """One step an epoch; where the warm-up is one step, OneCycleLR would divide by zero."""
    _, reported = trained(fresh(), make_images(20), Recipe(epochs=epochs, warmup=warmup))
    assert len(reported.losses) == epochs


@contextmanager
def observed_steps() -> Iterator[list[dict[str, float]]]:
    """The settings with which any optimizer steps."""
    steps = list[dict[str, float]]()

    def observe(optimizer: torch.optim.Optimizer, *_: object) -> None:
        (group,) = optimizer.param_groups
        steps.append({name: group[name] for name in ("lr", "momentum", "weight_decay")})

    handle = register_optimizer_step_pre_hook(observe)
    try:
        yield steps
    finally:
        handle.remove()


def test_the_schedule_is_one_cycle_with_its_peak_after_the_warmup(images: MemoryImages) -> None:
    recipe = Recipe(epochs=10, max_lr=0.02, batch_size=25, momentum=0.8, weight_decay=1e-3)
    with observed_steps() as steps:
        trained(with_dropout(), images, recipe)
    rates = [step["lr"] for step in steps]
    assert len(rates) == 100  # 256 images are 10 batches of 25
    peak = rates.index(max(rates))
    assert peak == 9  # the tenth of a hundred
    assert rates[peak] == pytest.approx(0.02)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[0] < 0.02 / 20
    assert rates[-1] < 0.02 / 1000
    assert {(step["momentum"], step["weight_decay"]) for step in steps} == {(0.8, 1e-3)}


def test_the_warmup_moves_the_peak(images: MemoryImages) -> None:
    with observed_steps() as steps:
        trained(with_dropout(), images, Recipe(epochs=5, batch_size=64, warmup=0.5))
    rates = [step["lr"] for step in steps]
    assert (len(rates), rates.index(max(rates))) == (20, 9)


def test_a_rate_too_high_is_told(images: MemoryImages) -> None:
    with pytest.raises(TrainingDiverged, match=r"loss is (nan|inf) in epoch [1-3]"):
        trained(fresh(), images, Recipe(epochs=3, max_lr=1e9, batch_size=32))


def test_weights_that_are_no_numbers_are_told(images: MemoryImages) -> None:
    network = fresh()
    with torch.no_grad():
        next(network.parameters()).fill_(torch.nan)
    with pytest.raises(TrainingDiverged, match="nan in epoch 1"):
        trained(network, images)


def test_a_teacher_outweighs_wrong_labels(
    images: MemoryImages, unseen: MemoryImages, expert: nn.Module
) -> None:
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(3))
    shuffled = MemoryImages(images.images, images.labels[order])
    recipe = Recipe(epochs=6, max_lr=0.05, batch_size=32, distill=1)
    student, _ = trained(fresh(7), shuffled, recipe, teacher=expert)
    alone, _ = trained(fresh(7), shuffled, recipe)
    taught = answers(expert, unseen)
    assert (answers(student, unseen) == taught).double().mean() > 0.9
    assert (answers(alone, unseen) == taught).double().mean() < 0.7


def test_the_teacher_stays_as_it_was(images: MemoryImages, expert: nn.Module) -> None:
    before = state(expert)
    trained(fresh(7), images, Recipe(epochs=1, batch_size=32, distill=0.5), teacher=expert)
    assert same(state(expert), before)
    assert not expert.training


@pytest.mark.parametrize(("distill", "temperature"), [(0.0, 4.0), (0.3, 4.0), (1.0, 2.0)])
def test_the_loss_is_that_of_hinton(
    images: MemoryImages, expert: nn.Module, distill: float, temperature: float
) -> None:
    """(1 - d) * cross-entropy + d * T^2 * KL(teacher at T || student at T), over one batch."""
    network, shown = fresh(7), PLAIN(images.images)
    with torch.no_grad():
        scores = copy.deepcopy(network).train()(shown)
        taught = expert(shown)
    wanted = (taught / temperature).softmax(1)
    provided = (scores / temperature).softmax(1)
    apart = (wanted * (wanted.log() - provided.log())).sum(1).mean()
    chosen = scores.softmax(1)[torch.arange(len(images)), images.labels]
    expected = (1 - distill) * -chosen.log().mean() + distill * temperature**2 * apart
    recipe = Recipe(epochs=1, batch_size=256, distill=distill, temperature=temperature)
    _, reported = trained(network, images, recipe, teacher=expert)
    assert reported.losses == [pytest.approx(expected.item(), rel=EXACT)]
    if not distill:
        assert expected.item() == pytest.approx(F.cross_entropy(scores, images.labels).item())


def test_without_a_share_the_teacher_has_no_say(images: MemoryImages, expert: nn.Module) -> None:
    with_teacher, _ = trained(fresh(), images, teacher=expert)
    without, _ = trained(fresh(), images)
    assert same(state(with_teacher), state(without))


def test_augmentation_is_for_training_and_follows_the_seed(images: MemoryImages) -> None:
    moved, _ = trained(fresh(), images, augmentation=MOVED)
    still, _ = trained(fresh(), images)
    assert not same(state(moved), state(still))


def test_the_images_stay_as_they_were(images: MemoryImages) -> None:
    before = images.images.clone()
    trained(fresh(), images, augmentation=MOVED)
    assert torch.equal(images.images, before)
