"""Heads that take no other number of features are left alone, and the others are not."""

from collections.abc import Callable

import pytest
import torch
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.techniques import TECHNIQUES
from torch import nn


class Reshaping(nn.Module):
    """A convolution, pooling, and a head behind a reshape."""

    def __init__(self, reshape: Callable[[torch.Tensor], torch.Tensor], side: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1)
        self.pool = nn.AdaptiveAvgPool2d(side)
        self.reshape = reshape
        self.linear = nn.Linear(16 * side * side, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.linear(self.reshape(self.pool(self.conv(x).relu())))
        return out


@pytest.mark.parametrize(
    ("reshape", "side", "fixed"),
    [
        (lambda x: x.flatten(1), 1, False),
        (lambda x: x.view(len(x), -1), 2, False),
        (lambda x: x.reshape(x.shape[0], -1), 4, False),
        (lambda x: x[:, :, 0, 0].view(-1, 16), 1, True),
        (lambda x: x.view(-1, 16), 1, True),
        (lambda x: x.view(-1, 16 * 4 * 4), 4, True),
    ],
)
def test_a_head_is_offered_where_another_can_stand(
    reshape: Callable[[torch.Tensor], torch.Tensor], side: int, fixed: bool
) -> None:
    network, images = Reshaping(reshape, side), torch.zeros(4, 3, 8, 8)
    blueprint = trace_with_groups(network, images)
    head = TECHNIQUES.get("head")
    assert bool(head.places(blueprint, "conv+bn")) is not fixed
    if fixed:
        (alone,) = head.skipped(blueprint, ["conv+bn"])
        assert "fixed number" in alone.reason or "calls functions" in alone.reason
