"""Parts that several block families are built from."""

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import nn

from ..blueprint import Geometry
from ..landmarks import Shortcut
from ..sites import BlockSpec

Activation = Callable[[], nn.Module]


def shaped(
    like: Geometry, in_channels: int, out_channels: int, *, groups: int = 1, bias: bool = False
) -> nn.Conv2d:
    """A convolution that looks at images as another does."""
    return nn.Conv2d(
        in_channels,
        out_channels,
        like.kernel,
        like.stride,
        like.padding,
        like.dilation,
        groups=groups,
        bias=bias,
    )


def pointwise(
    in_channels: int, out_channels: int, groups: int = 1, stride: tuple[int, int] = (1, 1)
) -> nn.Conv2d:
    """A 1x1 convolution without bias."""
    return nn.Conv2d(in_channels, out_channels, 1, stride, groups=groups, bias=False)


def depthwise(channels: int, stride: tuple[int, int] = (1, 1)) -> nn.Conv2d:
    """A 3x3 convolution with one filter per channel, without bias."""
    return nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False)


def writable_relu() -> nn.Module:
    """ReLU for the end of a block: its gradient needs its input, not its output as `nn.ReLU`'s.

    The network behind a block may write into what it gives, as `nn.ReLU(inplace=True)` does.
    """
    return nn.Threshold(0.0, 0.0)


def normalised(conv: nn.Conv2d, activation: Activation | None = None) -> nn.Sequential:
    """A convolution, batch norm, and perhaps an activation."""
    parts = OrderedDict[str, nn.Module](conv=conv, bn=nn.BatchNorm2d(conv.out_channels))
    if activation is not None:
        parts["act"] = activation()
    return nn.Sequential(parts)


class SqueezeExcite(nn.Module):
    """A gate per channel, told by the whole image: pool, squeeze to a quarter, expand, sigmoid.

    Hu et al.: Squeeze-and-Excitation Networks (2018), https://arxiv.org/abs/1709.01507. Its two
    linear layers are 1x1 convolutions here, without bias.

    Shapes: [batch, channels, h, w] -> the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = max(1, channels // 4)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze = pointwise(channels, squeezed)
        self.act = nn.ReLU()
        self.expand = pointwise(squeezed, channels)
        self.gate = nn.Sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate: torch.Tensor = self.gate(self.expand(self.act(self.squeeze(self.pool(x)))))
        return x * gate


class ChannelShuffle(nn.Module):
    """Interleaves the channels of several groups.

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


class AroundIdentity(nn.Module):
    """Adds a block's input to its output; both have one shape."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.block(x)
        return out + x


class Residual(nn.Module):
    """A branch and a shortcut, as its block spec wants it, and perhaps an activation of the sum.

    Shapes: [batch, in, h, w] -> [batch, out, h/stride, w/stride].
    """

    def __init__(
        self,
        spec: BlockSpec,
        branch: nn.Module,
        activation: Activation | None = None,
        *,
        shortcut_bias: bool = False,
    ) -> None:
        super().__init__()
        self.branch = branch
        if spec.shortcut is Shortcut.PROJECTION:
            conv = nn.Conv2d(
                spec.in_channels, spec.out_channels, 1, spec.stride, bias=shortcut_bias
            )
            self.shortcut: nn.Module = normalised(conv)
        else:
            self.shortcut = nn.Identity()
        self.adds = spec.shortcut is not Shortcut.NONE
        self.act = nn.Identity() if activation is None else activation()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.branch(x)
        if self.adds:
            out = out + self.shortcut(x)
        summed: torch.Tensor = self.act(out)
        return summed


def four_groups(in_channels: int, out_channels: int, least: int = 1) -> int:
    """4 where that divides both and `least` channels come in, else 1."""
    divides = in_channels % 4 == 0 == out_channels % 4
    return 4 if divides and in_channels >= least else 1


def shuffled(
    conv: nn.Conv2d, activation: Activation | None = None, *, norm: bool = True
) -> nn.Sequential:
    """A convolution, perhaps batch norm and an activation, and a shuffle of its groups."""
    parts = OrderedDict[str, nn.Module](conv=conv)
    if norm:
        parts["bn"] = nn.BatchNorm2d(conv.out_channels)
    if activation is not None:
        parts["act"] = activation()
    if conv.groups > 1:
        parts["shuffle"] = ChannelShuffle(conv.groups)
    return nn.Sequential(parts)
