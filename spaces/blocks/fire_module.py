"""Modules of SqueezeNet (see `blocks/fire.py`)."""

import torch
from torch import nn


class FireModule(nn.Module):
    """A squeezing layer, and two expanding layers in parallel whose outputs are concatenated.

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
    """A convolution, and a batch norm on its output whose result is discarded.

    The code of the paper on which Paredown is based runs such layers, and the paper counts them.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv, self.bn = conv, nn.BatchNorm2d(conv.out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.conv(x)
        self.bn(out)
        return out
