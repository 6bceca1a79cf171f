"""Parts fitted to what they stand in for: closer than they began, and never further away."""

import copy

import pytest
import torch
import torch.nn.functional as F
from paredown.objectives.training.block_fitting import (
    FIT_IN_NETWORK,
    FIT_ISOLATED,
    FitSchedule,
    features_at,
    fit,
    shapes_match,
    subsample,
    teacher_features,
)
from paredown.objectives.training.changed_parts import ReplacedPart
from paredown.spaces.graph.blueprint import Channels
from paredown.spaces.graph.zero_masks import STORED_ZEROS
from torch import nn

IMAGES = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Chain(nn.Module):
    """Two convolutions with batch norms, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(8)
        self.linear = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm1(self.first(x)), inplace=True)
        x = F.relu(self.norm2(self.second(x)), inplace=True)
        out: torch.Tensor = self.linear(x.mean((2, 3)))
        return out


def chain() -> Chain:
    torch.manual_seed(0)
    return Chain().eval()


def part(reads: torch.Tensor | None = None, writes: torch.Tensor | None = None) -> ReplacedPart:
    """The second convolution with its batch norm."""
    return ReplacedPart(
        ("second", "norm2"), Channels.of("first"), Channels.of("second"), reads, writes
    )


def convolution(into: int = 8, out: int = 8) -> nn.Conv2d:
    torch.manual_seed(1)
    return nn.Conv2d(into, out, 3, padding=1, bias=False)


def separable() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
        nn.Conv2d(8, 8, 1, bias=False),
        nn.BatchNorm2d(8),
    )


def error(module: nn.Module, inputs: torch.Tensor, wanted: torch.Tensor) -> float:
    """As a share of the variance, batch norm taking its figures from the batch."""
    with torch.no_grad():
        created = copy.deepcopy(module).train()(inputs)
    return float(F.mse_loss(created, wanted) / wanted.var())


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(data: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return data.keys() == other.keys() and all(
        torch.equal(data[name], other[name]) for name in data
    )


@pytest.mark.parametrize("effort", [FIT_ISOLATED, FIT_IN_NETWORK], ids=["alone", "in place"])
def test_it_gets_closer_to_what_it_stands_in_for(effort: FitSchedule) -> None:
    inputs, wanted = teacher_features(chain(), part(), IMAGES)
    new = separable()
    before = error(new, inputs, wanted)
    missed = fit(new, inputs, wanted, effort)
    assert missed == pytest.approx(error(new, inputs, wanted), rel=1e-3)
    assert missed < 0.6 * before


def test_a_part_that_can_be_exact_nearly_is() -> None:
    inputs, wanted = features_at(
        chain(), ReplacedPart(("second",), Channels(), Channels(), None, None), IMAGES
    )
    new = convolution()
    assert fit(new, inputs, wanted, FIT_ISOLATED) < 0.01
    assert float((new.weight - chain().second.weight).square().mean().detach()) < 1e-4


@pytest.mark.parametrize("rate", [1e-2, 1e6, 1e30], ids=["well", "worse", "not even numbers"])
def test_it_is_never_worse_than_before(rate: float) -> None:
    inputs, wanted = features_at(
        chain(), ReplacedPart(("second",), Channels(), Channels(), None, None), IMAGES
    )
    new = copy.deepcopy(chain().second)
    if rate > 1:
        with torch.no_grad():
            new.weight += 0.01
    begun, before = state(new), error(new, inputs, wanted)
    missed = fit(new, inputs, wanted, FitSchedule(steps=20, batch=32, rate=rate))
    assert missed == pytest.approx(before)
    assert same(state(new), begun)


def test_nothing_but_the_part_changes() -> None:
    network = chain()
    begun, images = state(network), IMAGES.clone()
    for training in (True, False):
        network.train(training)
        inputs, wanted = teacher_features(network, part(), images)
        remaining = inputs.clone(), wanted.clone()
        new = separable()
        fit(new, inputs, wanted, FIT_IN_NETWORK)
        assert network.training is training
        assert same(state(network), begun)
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
        assert torch.equal(images, IMAGES)
        assert torch.equal(inputs, remaining[0])
        assert torch.equal(wanted, remaining[1])
        for parameter in (*network.parameters(), *new.parameters()):
            assert parameter.grad is None
        assert not any(module.training for module in new.modules())


def test_it_is_the_same_every_time_with_dropout_too() -> None:
    inputs, wanted = teacher_features(chain(), part(), IMAGES)
    states = []
    for seed in (0, 1):
        new = nn.Sequential(separable(), nn.Dropout())
        torch.manual_seed(seed)
        drawn = torch.get_rng_state()
        fit(new, inputs, wanted, FIT_IN_NETWORK)
        assert torch.equal(torch.get_rng_state(), drawn)  # it draws nothing
        states.append(state(new))
    assert same(*states)


def test_batch_norms_know_what_goes_through_them() -> None:
    inputs, wanted = teacher_features(chain(), part(), IMAGES)
    conv, norm = convolution(), nn.BatchNorm2d(8)
    fit(nn.Sequential(conv, norm), inputs, wanted, FIT_IN_NETWORK)
    with torch.no_grad():
        reads = conv(inputs)
    torch.testing.assert_close(norm.running_mean, reads.mean((0, 2, 3)))
    torch.testing.assert_close(norm.running_var, reads.var((0, 2, 3)))
    assert norm.momentum == 0.1


def test_it_learns_the_channels_that_are_left() -> None:
    reads, writes = torch.tensor([0, 2, 3, 6, 7]), torch.tensor([1, 4, 5])
    whole = teacher_features(chain(), part(), IMAGES)
    left = teacher_features(chain(), part(reads, writes), IMAGES)
    assert torch.equal(left[0], whole[0][:, [0, 2, 3, 6, 7]])
    assert torch.equal(left[1], whole[1][:, [1, 4, 5]])
    conv = convolution(5, 3)
    cut = nn.Sequential(conv, nn.BatchNorm2d(3))
    with torch.no_grad():
        conv.weight.copy_(chain().second.weight[writes][:, reads])
    before = error(cut, *left)
    assert fit(cut, *left, FIT_ISOLATED) < 0.9 * before


def test_what_a_part_reads_and_writes_is_what_the_network_computes() -> None:
    network = chain()
    inputs, wanted = features_at(network, part(), IMAGES)
    with torch.no_grad():
        reads = F.relu(network.norm1(network.first(IMAGES)))
        assert torch.equal(inputs, reads)
        assert torch.equal(wanted, network.norm2(network.second(reads)))  # before it is written on


def test_parts_that_do_not_fit_are_known() -> None:
    inputs, wanted = teacher_features(chain(), part(), IMAGES)
    assert shapes_match(separable(), inputs, wanted)
    assert not shapes_match(convolution(6, 8), inputs, wanted)
    assert not shapes_match(convolution(8, 6), inputs, wanted)
    assert not shapes_match(nn.AvgPool2d(2), inputs, wanted)


def test_zeros_of_sparse_layers_stay() -> None:
    inputs, wanted = teacher_features(chain(), part(), IMAGES)
    conv = convolution()
    with torch.no_grad():
        conv.weight[:, ::2] = 0
    setattr(conv, STORED_ZEROS, conv.weight.numel() // 2)
    begun = conv.weight.detach().clone()
    fit(nn.Sequential(conv, nn.BatchNorm2d(8)), inputs, wanted, FIT_IN_NETWORK)
    assert torch.equal(conv.weight.eq(0), begun.eq(0))
    assert not torch.equal(conv.weight, begun)


def test_what_has_no_weights_is_measured_alone() -> None:
    inputs, wanted = teacher_features(chain(), part(), IMAGES)
    assert fit(nn.Identity(), inputs, wanted, FIT_ISOLATED) == pytest.approx(
        error(nn.Identity(), inputs, wanted)
    )


@pytest.mark.parametrize("count", [33, 65])
def test_no_batch_is_a_single_image(count: int) -> None:
    # Batch norm refuses one value per channel.
    torch.manual_seed(0)
    inputs, wanted = torch.randn(count, 8, 1, 1), torch.randn(count, 8, 1, 1)
    for effort in (FIT_ISOLATED, FIT_IN_NETWORK):
        fit(nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)), inputs, wanted, effort)


@pytest.mark.parametrize(("side", "count"), [(8, 512), (32, 512), (64, 128), (400, 16)])
def test_of_larger_images_there_are_fewer(side: int, count: int) -> None:
    batches = [torch.zeros(128, 1, side, side)] * (5 if side < 64 else 1)
    assert subsample(batches).shape == (count, 1, side, side)
