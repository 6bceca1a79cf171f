"""Networks with parts that channels cannot be removed from: left alone, with the reason."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from paredown.spaces.graph.blueprint import Blueprint
from paredown.spaces.models import build_model
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.space import Space
from paredown.spaces.technique import Phase, Value
from torch import nn


def reasons(blueprint: Blueprint) -> dict[str, str]:
    return {a.name: a.reason for a in blueprint.skipped if a.technique == "channels"}


class OptionA(nn.Module):
    """A basic block whose shortcut is written with a slice and a pad, as most people do."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(into, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.stride, self.more = stride, out - into

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.more:
            half = self.more // 2
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, half))
        return F.relu(out + x)


class HandWritten(nn.Module):
    """A CIFAR ResNet as found in the wild."""

    def __init__(self, blocks: int = 2) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        into, rows = 16, []
        for out in (16, 32, 64):
            for block in range(blocks):
                rows.append(OptionA(into, out, 2 if out > 16 and block == 0 else 1))
                into = out
        self.blocks = nn.Sequential(*rows)
        self.linear = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(F.relu(self.bn1(self.conv1(x))))
        out: torch.Tensor = self.linear(x.mean((2, 3)))
        return out


def test_channels_that_cross_a_slice_and_pad_are_skipped(
    assert_as_predicted: Callable[..., nn.Module],
) -> None:
    network, images = HandWritten(), torch.randn(4, 3, 32, 32)
    blueprint = trace_with_groups(network, images)
    assert set(blueprint.groups) == {f"blocks.{at}.conv1" for at in range(6)}
    assert reasons(blueprint) == {
        "conv1": "a slice or pad in the forward pass ties it to other channels"
    }
    options: dict[str, tuple[Value, ...]] = {"depth": (), "block": ("original", "separable")}
    for position in (0.5, 1):
        plan = Space.of(blueprint, options).uniform(position)
        assert plan.chosen("prune").keys() == {"stage1", "stage2", "stage3"}
        assert_as_predicted(network, images, blueprint, plan)
        pruned = assert_as_predicted(network, images, blueprint, plan.through(Phase.PRUNE))
        assert len(pruned.state_dict()["bn1.weight"]) == 16
        assert len(pruned.state_dict()["blocks.4.bn1.weight"]) < 64


def test_a_shuffled_network_keeps_its_channels(traced: Callable[..., Any]) -> None:
    blueprint = traced("shufflenet_v2_x0_5", 32).blueprint
    assert not blueprint.groups
    (reason,) = [alone.reason for alone in blueprint.skipped if alone.technique == "channels"]
    assert "Torch-Pruning does not support this network" in reason
    space = Space.of(blueprint)
    assert {d.technique for d in space.dimensions} == {"block", "bits"}
    assert {d.place for d in space.dimensions if d.technique == "bits"} == set(blueprint.stages)
    assert blueprint.skipped[0] in space.skipped


class Grouped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.grouped = nn.Conv2d(16, 32, 3, padding=1, groups=4)
        self.free = nn.Conv2d(32, 24, 3, padding=1)
        self.depthwise = nn.Conv2d(24, 24, 3, padding=1, groups=24)
        self.last = nn.Conv2d(24, 32, 1)
        self.fc = nn.Linear(32, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.free(F.relu(self.grouped(F.relu(self.stem(x)))))
        out: torch.Tensor = self.fc(self.last(self.depthwise(x)).mean((2, 3)))
        return out


def test_grouped_convolutions_keep_their_channels(
    assert_as_predicted: Callable[..., nn.Module],
) -> None:
    network, images = Grouped(), torch.randn(2, 3, 16, 16)
    blueprint = trace_with_groups(network, images)
    assert set(blueprint.groups) == {"free", "last"}
    assert reasons(blueprint) == {
        "stem": "grouped is a grouped convolution",
        "grouped": "grouped is a grouped convolution",
    }
    space = Space.of(blueprint, {"head": (), "block": ("original", "separable")})
    changed = assert_as_predicted(network, images, blueprint, space.uniform(1))
    assert changed.get_submodule("depthwise").groups == 4  # 24 -> 8 by width -> 4 by pruning


class Odd(nn.Module):
    """Parts that channels cannot be removed from."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(3, 8, 3)
        self.norm = nn.GroupNorm(2, 8)
        self.conv = nn.Conv2d(8, 8, 3)
        self.scale = nn.Parameter(torch.ones(8, 1, 1))
        self.fc = nn.Linear(8, 5)
        self.spare = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(self.norm(self.up(x))) * self.scale
        out: torch.Tensor = self.fc(x.mean((2, 3)))
        return out


def test_odd_parts_are_skipped_with_the_reason() -> None:
    network = Odd()
    blueprint = trace_with_groups(network, torch.zeros(2, 3, 8, 8))
    params = sum(layer.weights({}) + layer.other_params({}) for layer in blueprint.layers)
    assert params == sum(p.numel() for p in network.parameters())
    reported = reasons(blueprint)
    assert not blueprint.groups
    assert any("a parameter outside of layers" in reason for reason in reported.values())
    assert any("norm (GroupNorm) splits its channels" in reason for reason in reported.values())


def test_channels_that_no_convolution_writes_are_skipped() -> None:
    network = nn.Sequential(
        nn.ConvTranspose2d(3, 8, 3),
        nn.Conv2d(8, 8, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 2),
    )
    blueprint = trace_with_groups(network, torch.zeros(2, 3, 8, 8))
    assert reasons(blueprint)["0"] == "no convolution or linear layer writes it"
    assert set(blueprint.groups) == {"1"}


@pytest.mark.filterwarnings("ignore:Maximum recursive depth reached")
def test_window_attention_does_not_eat_the_memory() -> None:
    # Torch-Pruning grows one group without bound behind Swin's reshapes: 24 GiB at 64 px.
    blueprint = trace_with_groups(build_model("swin_t", 10, 3), torch.zeros(2, 3, 32, 32))
    assert not blueprint.groups
    (alone,) = [alone for alone in blueprint.skipped if alone.technique == "channels"]
    assert "indices in a channel group" in alone.reason
