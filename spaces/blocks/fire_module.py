"""The modules of SqueezeNet (see `blocks/fire.py`)."""

import torch
from torch import nn


class FireModule(nn.Module):
    """Two expanding parts side by side on what a squeezing part makes.

    Shapes: [batch, in, h, w] -> [batch, out, h/stride, w/stride].
    """

    def __init__(
        self, squeeze: nn.Module, pointwise: nn.Module, spatial: nn.Module, ending: nn.Module
    ) -> None:
        super().__init__()
        self.squeeze, self.expand1x1, self.expand3x3 = squeeze, pointwise, spatial
        self.ending = ending

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        squeezed = self.squeeze(x)
        both = torch.cat([self.expand1x1(squeezed), self.expand3x3(squeezed)], 1)
        out: torch.Tensor = self.ending(both)
        return out


class Unread(nn.Module):
    """A convolution, and batch norm on its output that nothing reads.

    The paper that this project starts from counts such layers: its code runs them and goes on
    with what they were given.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv, self.bn = conv, nn.BatchNorm2d(conv.out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.conv(x)
        self.bn(out)
        return out
