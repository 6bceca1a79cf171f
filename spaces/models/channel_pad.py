"""Option A shortcut of the CIFAR ResNets, as a module that can be pruned.

He et al.: Deep Residual Learning (2016), section 4.2, https://arxiv.org/abs/1512.03385. Deviation:
it is usually a slice and a zero-pad in the forward pass, which cannot be pruned. This module stores
the input channel of each output channel; before pruning, both forms compute the same.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


class ChannelPad(nn.Module):
    """Option A shortcut: subsamples the image, and pads the channels with zeros on both sides.

    `source[j]` is the input channel that output channel j copies; `in_channels` stands for zero.

    Shapes: [batch, in_channels, h, w] -> [batch, out_channels, h/stride, w/stride].
    """

    source: torch.Tensor

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.in_channels, self.stride = in_channels, stride
        before = (out_channels - in_channels) // 2
        source = torch.arange(out_channels) - before
        outside = (source < 0) | (source >= in_channels)
        self.register_buffer("source", source.masked_fill(outside, in_channels))

    @property
    def out_channels(self) -> int:
        return len(self.source)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x[:, :, :: self.stride, :: self.stride]
        with_zero = F.pad(x, (0, 0, 0, 0, 0, 1))
        return with_zero.index_select(1, self.source)

    def remove_inputs(self, channels: list[int]) -> None:
        """Remove input channels; outputs that copied them become zero."""
        remaining = _all_but(self.in_channels, channels)
        position = torch.full((self.in_channels + 1,), len(remaining), device=self.source.device)
        position[remaining] = torch.arange(len(remaining), device=self.source.device)
        self.in_channels = len(remaining)
        self.source = position[self.source]

    def remove_outputs(self, channels: list[int]) -> None:
        """Remove output channels."""
        self.source = self.source[_all_but(self.out_channels, channels)]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # State dicts of the slice-and-pad form have no such entry.
        state_dict.setdefault(prefix + "source", self.source)
        super()._load_from_state_dict(state_dict, prefix, *args)


def _all_but(count: int, channels: list[int]) -> list[int]:
    gone = set(channels)
    return [channel for channel in range(count) if channel not in gone]
