"""New parts fitted to what they replace: closer than they began, and never further away."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from paredown.spaces import fitting
from paredown.spaces.fitting import fit
from paredown.spaces.plan import Plan
from torch import nn

CALIBRATION = [torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(n)) for n in (0, 1)]


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


def chain(seed: int = 0) -> Chain:
    torch.manual_seed(seed)
    return Chain()


def separable(into: int, out: int, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(into, into, 3, padding=1, groups=into, bias=False),
        nn.Conv2d(into, out, 1, bias=False),
        nn.BatchNorm2d(out),
    )


def error(part: nn.Module, network: Chain) -> float:
    """Of a part against the second convolution and its batch norm, on all calibration images."""
    images = torch.cat(CALIBRATION)
    with torch.no_grad():
        reads = F.relu(network.eval().norm1(network.first(images)))
        wanted = network.norm2(network.second(reads))
        return float(F.mse_loss(copy.deepcopy(part).train()(reads), wanted))


def apart(part: nn.Conv2d, other: nn.Conv2d) -> float:
    """By how much the filters of two convolutions differ."""
    return float((part.weight - other.weight).square().mean().detach())


def test_it_gets_closer_to_what_it_replaces() -> None:
    network, part = chain(), separable(8, 8)
    before = error(part, network)
    fit(part, network, "second", copy.deepcopy(network), "norm2", CALIBRATION)
    assert error(part, network) < 0.6 * before


def test_a_part_that_can_be_exact_nearly_is() -> None:
    network = chain()
    torch.manual_seed(1)
    part = nn.Conv2d(8, 8, 3, padding=1, bias=False)
    before = apart(part, network.second)
    fit(part, network, "second", copy.deepcopy(network), "second", CALIBRATION)
    assert apart(part, network.second) < before / 5


def test_a_part_that_cannot_get_better_is_left_as_it_was() -> None:
    network = chain()
    part = copy.deepcopy(network.second)  # it is what it replaces
    fit(part, network, "second", copy.deepcopy(network), "second", CALIBRATION)
    assert torch.equal(part.weight, network.second.weight)


@pytest.mark.parametrize("rate", [1e6, 1e30], ids=["worse", "not even numbers"])
def test_a_worse_part_is_put_back_whole(rate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "_RATE", rate)
    network = chain()
    part = copy.deepcopy(network.second)
    with torch.no_grad():
        part.weight += 0.01
    begun = part.weight.detach().clone()
    fit(part, network, "second", copy.deepcopy(network), "second", CALIBRATION)
    assert torch.equal(part.weight, begun)


@pytest.mark.parametrize("training", [True, False])
def test_nothing_but_the_part_changes(training: bool) -> None:
    network, part = chain().train(training), separable(8, 8)
    teacher = copy.deepcopy(network)
    begun = copy.deepcopy(network.state_dict())
    images = [batch.clone() for batch in CALIBRATION]
    fit(part, network, "second", teacher, "norm2", CALIBRATION)
    for one in (network, teacher):
        assert one.training is training
        assert all(torch.equal(begun[name], value) for name, value in one.state_dict().items())
        assert all(parameter.grad is None for parameter in one.parameters())
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in one.modules())
    assert all(parameter.grad is None for parameter in part.parameters())
    assert all(map(torch.equal, images, CALIBRATION))


def test_it_is_the_same_every_time() -> None:
    states = []
    for seed in (0, 1):
        network, part = chain(), separable(8, 8)
        torch.manual_seed(seed)  # it draws nothing
        fit(part, network, "second", copy.deepcopy(network), "norm2", CALIBRATION)
        states.append(part.state_dict())
    assert all(torch.equal(states[0][name], value) for name, value in states[1].items())


def test_it_learns_from_what_the_parts_before_it_give() -> None:
    # The first convolution is replaced by one of half its outputs: the second makes up for that.
    teacher = chain()
    network = copy.deepcopy(teacher)
    with torch.no_grad():
        network.first.weight *= 0.5
    torch.manual_seed(1)
    images = torch.cat(CALIBRATION)
    parts = []
    for student in (network, teacher):
        part = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        part.load_state_dict(teacher.second.state_dict())
        fit(part, student, "second", teacher, "second", CALIBRATION)
        parts.append(part)
    with torch.no_grad():
        halved = F.relu(network.eval().norm1(network.first(images)))
        wanted = teacher.eval().second(F.relu(teacher.norm1(teacher.first(images))))
        errors = [float(F.mse_loss(part(halved), wanted)) for part in parts]
    assert errors[0] < errors[1] / 5


def test_blocks_are_fitted_where_there_are_images_to_look_at(
    traced: Callable[..., Any],
    trained: Callable[[str], nn.Module],
    carry_out: Callable[..., nn.Module],
) -> None:
    network, blueprint = trained("resnet20"), traced("resnet20", 32).blueprint
    before = copy.deepcopy(network.state_dict())
    images = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    plan = Plan.of({"block": {"layer1.1": "ghost-bottleneck", "layer2.1": "inverted"}})
    torch.manual_seed(0)
    changed = carry_out(network, images, blueprint, plan)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    seen = list[torch.Tensor]()
    for one in (network, changed):
        hook = one.get_submodule("layer1.1").register_forward_hook(
            lambda module, inputs, output: seen.append(output.clone())
        )
        with torch.no_grad():
            one.eval()(images)
        hook.remove()
    old, new = seen
    assert F.mse_loss(new, old) < 0.9 * old.var()
    assert not changed.training
