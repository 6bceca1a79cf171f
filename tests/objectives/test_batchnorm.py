"""Batch norm's statistics taken afresh: those of the images, and nothing else changes."""

import copy
from collections.abc import Callable

import pytest
import torch
from paredown.objectives.data import MemoryImages, Normalisation
from paredown.objectives.training.training_loop import first_batches, recalibrate_batchnorm, seeded
from paredown.spaces.models import build_model
from torch import nn

MakeImages = Callable[..., MemoryImages]
PLAIN = Normalisation((0.5,), (0.25,))


class StochasticNet(nn.Module):
    """Batch norm behind dropout, so that statistics and random numbers could mix."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.dropout = nn.Dropout(0.5)
        self.norm = nn.BatchNorm2d(4)
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.linear(self.norm(self.dropout(self.conv(x))).mean((2, 3)))
        return scores


def resnet8() -> nn.Module:
    with seeded(0):
        network = build_model("resnet8", 4, 1)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):  # nonsense, to be forgotten
                module.running_mean.normal_(5, 3)  # type: ignore[union-attr]
                module.running_var.uniform_(2, 9)  # type: ignore[union-attr]
    return network


def norm_of(network: nn.Module, name: str = "bn1") -> nn.BatchNorm2d:
    norm = network.get_submodule(name)
    assert isinstance(norm, nn.BatchNorm2d)
    return norm


def statistics(norm: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return norm.running_mean, norm.running_var


def test_statistics_are_those_of_the_images(make_images: MakeImages) -> None:
    images, network = make_images(256), resnet8()
    conv = network.get_submodule("conv1")
    with torch.no_grad():
        everything = conv(PLAIN(images.images))
        batches = [conv(batch) for batch, _ in first_batches(network, images, PLAIN, 8)]
    assert [len(batch) for batch in batches] == [128, 128]
    recalibrate_batchnorm(network, images, PLAIN)
    mean, var = statistics(norm_of(network))
    torch.testing.assert_close(mean, everything.mean((0, 2, 3)))
    per_batch = torch.stack([batch.var((0, 2, 3)) for batch in batches])
    torch.testing.assert_close(var, per_batch.mean(0))
    # Over all images together the variance is nearly that.
    torch.testing.assert_close(var, everything.var((0, 2, 3)), rtol=0.02, atol=0)


def test_only_the_batches_asked_for_count(make_images: MakeImages) -> None:
    images, network = make_images(400), resnet8()
    with torch.no_grad():
        ((batch, _),) = first_batches(network, images, PLAIN, 1)
        expected = network.get_submodule("conv1")(batch)
    recalibrate_batchnorm(network, images, PLAIN, batches=1)
    mean, var = statistics(norm_of(network))
    torch.testing.assert_close(mean, expected.mean((0, 2, 3)))
    torch.testing.assert_close(var, expected.var((0, 2, 3)))


def test_in_evaluation_the_images_come_out_normal(make_images: MakeImages) -> None:
    images, network = make_images(128), resnet8()
    recalibrate_batchnorm(network, images, PLAIN)
    norms = {n: m for n, m in network.named_modules() if isinstance(m, nn.BatchNorm2d)}
    seen = dict[str, torch.Tensor]()
    for name, norm in norms.items():
        norm.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
    with torch.no_grad():
        network(PLAIN(images.images))
    assert len(seen) == 7
    for out in seen.values():  # nearly: in training, norms divide by the biased deviation
        assert out.mean((0, 2, 3)).abs().max() < 0.02
        assert (out.var((0, 2, 3)) - 1).abs().max() < 0.05


def test_weights_momentum_and_mode(make_images: MakeImages) -> None:
    network = resnet8().train()
    norm_of(network, "layer1.0.bn1").momentum = 0.3
    before = {name: parameter.clone() for name, parameter in network.named_parameters()}
    recalibrate_batchnorm(network, make_images(64), PLAIN)
    assert all(torch.equal(p, before[name]) for name, p in network.named_parameters())
    momenta = {n: m.momentum for n, m in network.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert momenta.pop("layer1.0.bn1") == 0.3
    assert set(momenta.values()) == {0.1}
    assert not any(module.training for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_doing_it_twice_changes_nothing(make_images: MakeImages) -> None:
    images, network = make_images(200), resnet8()
    recalibrate_batchnorm(network, images, PLAIN)
    once = copy.deepcopy(network.state_dict())
    recalibrate_batchnorm(network, images, PLAIN)
    assert all(torch.equal(tensor, once[name]) for name, tensor in network.state_dict().items())


def test_a_last_batch_of_one_image_neither_breaks_nor_tips_it(make_images: MakeImages) -> None:
    # On 4x4 images the last stage has one pixel, and batch norm refuses one value per channel.
    images, network = make_images(129, size=4), resnet8()
    with torch.no_grad():
        expected = network.get_submodule("conv1")(PLAIN(images.images))
    recalibrate_batchnorm(network, images, PLAIN)
    mean, var = statistics(norm_of(network))
    torch.testing.assert_close(mean, expected.mean((0, 2, 3)), rtol=0, atol=0.02)
    torch.testing.assert_close(var, expected.var((0, 2, 3)), rtol=0.02, atol=0)


def test_chance_has_no_part_in_it(make_images: MakeImages) -> None:
    images = make_images(64)
    with seeded(0):
        network = StochasticNet()
    with torch.no_grad():
        expected = network.conv(PLAIN(images.images))  # what the norm reads in evaluation
    torch.manual_seed(5)
    before = torch.get_rng_state()
    recalibrate_batchnorm(network, images, PLAIN)
    assert torch.equal(torch.get_rng_state(), before)
    mean, var = statistics(network.norm)
    torch.testing.assert_close(mean, expected.mean((0, 2, 3)))
    torch.testing.assert_close(var, expected.var((0, 2, 3)))


@pytest.mark.parametrize(("count", "sizes"), [(40, [40]), (128, [128]), (600, [128, 128, 128])])
def test_first_batches_are_the_same_every_time(
    make_images: MakeImages, count: int, sizes: list[int]
) -> None:
    images, network = make_images(count), resnet8()
    torch.manual_seed(1)
    item = [batch for batch, _ in first_batches(network, images, PLAIN, 3)]
    torch.manual_seed(2)
    two = [batch for batch, _ in first_batches(network, images, PLAIN, 3)]
    assert [len(batch) for batch in item] == sizes
    assert all(torch.equal(a, b) for a, b in zip(item, two, strict=True))
    assert item[0].dtype == torch.float32
    # They are the images, normalised, and not in their order.
    known = {image.numpy().tobytes() for image in PLAIN(images.images)}
    assert all(image.numpy().tobytes() in known for image in item[0])
    if count > 128:
        assert not torch.equal(item[0], PLAIN(images.images)[:128])


def test_networks_without_batch_norm_pass_through(make_images: MakeImages) -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 4))
    before = copy.deepcopy(network.state_dict())
    recalibrate_batchnorm(network, make_images(16), PLAIN)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
