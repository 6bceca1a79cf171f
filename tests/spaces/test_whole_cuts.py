"""Whole networks pruned: every channel stays where it belongs, or is left alone."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from torch import nn

Trained = Callable[[str], nn.Module]


def zeroed_twin(network: nn.Module, cut: nn.Module) -> nn.Module:
    """The network before the cut, with all parameters of the removed channels set to zero.

    Which channels went is seen by comparing biases: random numbers, each one there is only once.
    """
    twin = copy.deepcopy(network)
    for name, module in twin.named_modules():
        if not isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d) or module.bias is None:
            continue
        left = cut.get_submodule(name).bias
        assert isinstance(left, nn.Parameter)
        gone = ~torch.isin(module.bias, left)
        assert gone.sum() == len(module.bias) - len(left)
        with torch.no_grad():
            module.bias[gone] = 0
            module.weight[gone] = 0
    return twin


@pytest.mark.parametrize(
    ("name", "size"),
    [("resnet18", 32), ("mobilenet_v2", 32), ("mobilenet_v3_small", 32), ("squeezenet1_1", 64),
     ("googlenet", 64), ("efficientnet_b0", 32), ("densenet121", 32)],
)  # fmt: skip
def test_pruning_whole_networks_keeps_channels_where_they_belong(
    trained: Trained,
    name: str,
    size: int,
    traced: Callable[..., Any],
    carry_out: Callable[..., nn.Module],
) -> None:
    network, images = trained(name), torch.randn(2, 3, size, size)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.normal_(module.bias, std=0.1)
    blueprint = traced(name, size).blueprint
    stages = {group.stage for group in blueprint.groups.values()}
    plan = Plan.of({"prune": dict.fromkeys(stages, 0.25)})
    cut = carry_out(network, images, blueprint, plan)
    assert sum(p.numel() for p in cut.parameters()) < sum(p.numel() for p in network.parameters())
    with torch.no_grad():
        wanted, got = zeroed_twin(network, cut)(images), cut(images)
        untouched = network(images)
    scale = wanted.abs().max()
    assert scale > 0
    assert (got - wanted).abs().max() / scale < 1e-4
    assert (untouched - wanted).abs().max() / scale > 1e-2


class Reordered(nn.Module):
    """Channels are moved between the convolution that writes them and the one that reads them."""

    def __init__(self, move: Callable[[torch.Tensor], torch.Tensor], width: int) -> None:
        super().__init__()
        self.write = nn.Conv2d(3, 16, 3, padding=1)
        self.read = nn.Conv2d(width, 8, 3, padding=1)
        self.classifier = nn.Linear(8, 5)
        self.move = move

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.read(self.move(self.write(x).relu())).relu()
        out: torch.Tensor = self.classifier(x.mean((2, 3)))
        return out


FOLLOWED: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], int]] = {
    "twice": (lambda x: torch.cat([x, x], 1), 32),
    "padded behind": (lambda x: F.pad(x, (0, 0, 0, 0, 0, 16)), 32),
    "sliced": (lambda x: x[:, 4:12], 8),
    "halves gated": (lambda x: x.chunk(2, 1)[0] * x.chunk(2, 1)[1].sigmoid(), 8),
    "glu": (lambda x: F.glu(x, 1), 8),
    "shuffled by hand": (lambda x: torch.unflatten(x, 1, (2, 8)).transpose(1, 2).flatten(1, 2), 16),
    "indexed": (lambda x: x[:, torch.arange(15, -1, -1, device=x.device)], 16),
    "repeated": (lambda x: x.repeat(1, 2, 1, 1), 32),
    "pixels from channels": (lambda x: F.pixel_shuffle(x, 2), 4),
    "largest of two": (lambda x: torch.unflatten(x, 1, (8, 2)).amax(2), 8),
}
NOT_FOLLOWED: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], int]] = {
    "padded around": (lambda x: F.pad(x, (0, 0, 0, 0, 8, 8)), 32),
    "flipped": (lambda x: x.flip(1), 16),
    "rolled": (lambda x: x.roll(1, 1), 16),
    "shuffled": (lambda x: F.channel_shuffle(x, 2), 16),
    "a slice beside the whole": (lambda x: torch.cat([x[:, :8], x], 1), 24),
}


@pytest.mark.parametrize("how", [*FOLLOWED, *NOT_FOLLOWED])
def test_moved_channels_are_cut_rightly_or_skipped(
    how: str, carry_out: Callable[..., nn.Module]
) -> None:
    torch.manual_seed(0)
    network, images = Reordered(*(FOLLOWED | NOT_FOLLOWED)[how]).eval(), torch.randn(4, 3, 8, 8)
    blueprint = trace_with_groups(network, images)
    stages = {group.stage for group in blueprint.groups.values()}
    if how in NOT_FOLLOWED:
        reasons = {skipped.name: skipped.reason for skipped in blueprint.skipped}
        assert reasons["write"] == "the forward pass moves its channels"
    cut = carry_out(network, images, blueprint, Plan.of({"prune": dict.fromkeys(stages, 0.5)}))
    wanted = zeroed_twin(network, cut)(images)
    assert torch.allclose(cut(images), wanted, atol=1e-5)
    assert len(cut.state_dict()["read.weight"]) == 4
