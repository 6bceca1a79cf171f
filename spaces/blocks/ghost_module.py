"""Module of GhostNet (see `blocks/ghost.py`)."""

import torch
from torch import nn


class GhostModule(nn.Module):
    """Half of the channels from `primary`, the other half from a 3x3 depthwise convolution of them.

    Args:
        primary: a convolution, possibly with a channel shuffle, with `half` output channels.
        half: half of the output channels.

    Shapes: [batch, in, h, w] -> [batch, 2 * half, h/stride, w/stride].
    """

    def __init__(self, primary: nn.Module, half: int, *, bias: bool = False) -> None:
        super().__init__()
        self.primary = primary
        self.cheap = nn.Conv2d(half, half, 3, padding=1, groups=half, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        half = self.primary(x)
        return torch.cat([half, self.cheap(half)], 1)
