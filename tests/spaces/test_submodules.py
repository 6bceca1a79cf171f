"""Replacing a module under every name that it has."""

from collections.abc import Callable

import torch
from paredown.spaces.graph.submodules import replace_module
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from torch import nn


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1)


class HeldTwice(nn.Module):
    """Keeps its backbone whole and in parts, and runs the parts, as many wrappers do."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.layers = nn.Sequential(*self.backbone.children())
        self.classifier = nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.classifier(self.layers(x).mean((2, 3)))
        return out


def test_replaces_under_every_name() -> None:
    network = HeldTwice()
    new = nn.Conv2d(8, 16, 1)
    replace_module(network, "backbone.conv2", new)
    assert network.layers[2] is new
    assert network.backbone.conv2 is new
    assert network.layers[0] is network.backbone.conv1


def test_plans_reach_what_runs(assert_as_predicted: Callable[..., nn.Module]) -> None:
    images = torch.randn(2, 3, 16, 16)
    network = HeldTwice()
    blueprint = trace_with_groups(network, images)
    everywhere = {"stem": "separable", "stage1": "separable"}
    for chosen in ({"block": everywhere}, {"bits": {"stem": "w8a8", "stage1": "w8a32"}}):
        changed = assert_as_predicted(network, images, blueprint, Plan.of(chosen))
        assert isinstance(changed, HeldTwice)
        assert changed.layers[2] is changed.backbone.conv2
        assert type(changed.layers[2]) is not nn.Conv2d
