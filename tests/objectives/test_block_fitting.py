"""Parts fitted to what they stand in for: closer than they began, and never further away."""

import copy

import pytest
import torch
import torch.nn.functional as F
from paredown.objectives.training.block_fitting import (
    ALONE,
    IN_PLACE,
    Effort,
    fit,
    makes,
    seen_at,
    some_of,
    wanted_of,
)
from paredown.objectives.training.changed_parts import Part
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


def part(reads: torch.Tensor | None = None, writes: torch.Tensor | None = None) -> Part:
    """The second convolution with its batch norm."""
    return Part(("second", "norm2"), Channels.of("first"), Channels.of("second"), reads, writes)


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


def error(module: nn.Module, given: torch.Tensor, wanted: torch.Tensor) -> float:
    """As a share of the variance, batch norm taking its figures from the batch."""
    with torch.no_grad():
        made = copy.deepcopy(module).train()(given)
    return float(F.mse_loss(made, wanted) / wanted.var())


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("effort", [ALONE, IN_PLACE], ids=["alone", "in place"])
def test_it_gets_closer_to_what_it_stands_in_for(effort: Effort) -> None:
    given, wanted = wanted_of(chain(), part(), IMAGES)
    new = separable()
    before = error(new, given, wanted)
    missed = fit(new, given, wanted, effort)
    assert missed == pytest.approx(error(new, given, wanted), rel=1e-3)
    assert missed < 0.6 * before


def test_a_part_that_can_be_exact_nearly_is() -> None:
    given, wanted = seen_at(chain(), Part(("second",), Channels(), Channels(), None, None), IMAGES)
    new = convolution()
    assert fit(new, given, wanted, ALONE) < 0.01
    assert float((new.weight - chain().second.weight).square().mean().detach()) < 1e-4


@pytest.mark.parametrize("rate", [1e-2, 1e6, 1e30], ids=["well", "worse", "not even numbers"])
def test_it_is_never_worse_than_before(rate: float) -> None:
    given, wanted = seen_at(chain(), Part(("second",), Channels(), Channels(), None, None), IMAGES)
    new = copy.deepcopy(chain().second)
    if rate > 1:
        with torch.no_grad():
            new.weight += 0.01
    begun, before = state(new), error(new, given, wanted)
    missed = fit(new, given, wanted, Effort(steps=20, batch=32, rate=rate))
    assert missed == pytest.approx(before)
    assert same(state(new), begun)


def test_nothing_but_the_part_changes() -> None:
    network = chain()
    begun, images = state(network), IMAGES.clone()
    for training in (True, False):
        network.train(training)
        given, wanted = wanted_of(network, part(), images)
        kept = given.clone(), wanted.clone()
        new = separable()
        fit(new, given, wanted, IN_PLACE)
        assert network.training is training
        assert same(state(network), begun)
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
        assert torch.equal(images, IMAGES)
        assert torch.equal(given, kept[0])
        assert torch.equal(wanted, kept[1])
        for parameter in (*network.parameters(), *new.parameters()):
            assert parameter.grad is None
        assert not any(module.training for module in new.modules())


def test_it_is_the_same_every_time_with_dropout_too() -> None:
    given, wanted = wanted_of(chain(), part(), IMAGES)
    states = []
    for seed in (0, 1):
        new = nn.Sequential(separable(), nn.Dropout())
        torch.manual_seed(seed)
        drawn = torch.get_rng_state()
        fit(new, given, wanted, IN_PLACE)
        assert torch.equal(torch.get_rng_state(), drawn)  # it draws nothing
        states.append(state(new))
    assert same(*states)


def test_batch_norms_know_what_goes_through_them() -> None:
    given, wanted = wanted_of(chain(), part(), IMAGES)
    conv, norm = convolution(), nn.BatchNorm2d(8)
    fit(nn.Sequential(conv, norm), given, wanted, IN_PLACE)
    with torch.no_grad():
        reads = conv(given)
    torch.testing.assert_close(norm.running_mean, reads.mean((0, 2, 3)))
    torch.testing.assert_close(norm.running_var, reads.var((0, 2, 3)))
    assert norm.momentum == 0.1


def test_it_learns_the_channels_that_are_left() -> None:
    reads, writes = torch.tensor([0, 2, 3, 6, 7]), torch.tensor([1, 4, 5])
    whole, left = (
        wanted_of(chain(), part(), IMAGES),
        wanted_of(chain(), part(reads, writes), IMAGES),
    )
    assert torch.equal(left[0], whole[0][:, [0, 2, 3, 6, 7]])
    assert torch.equal(left[1], whole[1][:, [1, 4, 5]])
    conv = convolution(5, 3)
    cut = nn.Sequential(conv, nn.BatchNorm2d(3))
    with torch.no_grad():
        conv.weight.copy_(chain().second.weight[writes][:, reads])
    before = error(cut, *left)
    assert fit(cut, *left, ALONE) < 0.9 * before


def test_what_a_part_reads_and_writes_is_what_the_network_computes() -> None:
    network = chain()
    given, wanted = seen_at(network, part(), IMAGES)
    with torch.no_grad():
        reads = F.relu(network.norm1(network.first(IMAGES)))
        assert torch.equal(given, reads)
        assert torch.equal(wanted, network.norm2(network.second(reads)))  # before it is written on


def test_parts_that_do_not_fit_are_known() -> None:
    given, wanted = wanted_of(chain(), part(), IMAGES)
    assert makes(separable(), given, wanted)
    assert not makes(convolution(6, 8), given, wanted)
    assert not makes(convolution(8, 6), given, wanted)
    assert not makes(nn.AvgPool2d(2), given, wanted)


def test_zeros_of_sparse_layers_stay() -> None:
    given, wanted = wanted_of(chain(), part(), IMAGES)
    conv = convolution()
    with torch.no_grad():
        conv.weight[:, ::2] = 0
    setattr(conv, STORED_ZEROS, conv.weight.numel() // 2)
    begun = conv.weight.detach().clone()
    fit(nn.Sequential(conv, nn.BatchNorm2d(8)), given, wanted, IN_PLACE)
    assert torch.equal(conv.weight.eq(0), begun.eq(0))
    assert not torch.equal(conv.weight, begun)


def test_what_has_no_weights_is_measured_alone() -> None:
    given, wanted = wanted_of(chain(), part(), IMAGES)
    assert fit(nn.Identity(), given, wanted, ALONE) == pytest.approx(
        error(nn.Identity(), given, wanted)
    )


@pytest.mark.parametrize("count", [33, 65])
def test_no_batch_is_a_single_image(count: int) -> None:
    # Batch norm refuses one value per channel.
    torch.manual_seed(0)
    given, wanted = torch.randn(count, 8, 1, 1), torch.randn(count, 8, 1, 1)
    for effort in (ALONE, IN_PLACE):
        fit(nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)), given, wanted, effort)


@pytest.mark.parametrize(("side", "count"), [(8, 512), (32, 512), (64, 128), (400, 16)])
def test_of_larger_images_there_are_fewer(side: int, count: int) -> None:
    batches = [torch.zeros(128, 1, side, side)] * (5 if side < 64 else 1)
    assert some_of(batches).shape == (count, 1, side, side)
