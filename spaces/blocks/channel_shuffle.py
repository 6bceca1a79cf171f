"""The channel shuffle of ShuffleNet."""

from __future__ import annotations

import torch
from torch import nn


class ChannelShuffle(nn.Module):
    """Interleaves the channels of the groups.

    Zhang et al.: ShuffleNet (2018), https://arxiv.org/abs/1707.01083, figure 1.

    Shapes: [batch, channels, h, w] -> the same.
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.shape
        split = x.view(batch, self.groups, channels // self.groups, height, width)
        return split.transpose(1, 2).reshape(batch, channels, height, width)
