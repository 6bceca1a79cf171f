"""A block family: what can stand in for a convolution. One file each, beside this one."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import nn

from ..blueprint import Channels, Group, Layer
from ..grouping import trace_with_groups
from ..registry import Registry
from ..sites import ConvSpec
from ..technique import Technique


class BlockFamily(ABC):
    """Builds blocks that keep a convolution's interface: channels in and out, stride, image size.

    To add one, write a file in this folder that opens with its paper, register an instance with
    `FAMILIES`, and import it in `blocks/__init__.py`. Its cost needs no word: it is read off the
    block itself.
    """

    technique: Technique

    @property
    def name(self) -> str:
        return self.technique.name

    @abstractmethod
    def build(self, spec: ConvSpec) -> nn.Module:
        """A block for that place, [batch, in, h, w] -> [batch, out, h/stride, w/stride].

        Called on the meta device too, so it must not look at numbers.
        """

    def inherit(self, block: nn.Module, original: nn.Conv2d) -> None:  # noqa: B027
        """Start the block from the convolution that it replaces; the default starts from noise."""

    def refuses(self, spec: ConvSpec) -> str:
        """Why the family cannot act there; empty if it can."""
        return ""


FAMILIES: Registry[BlockFamily] = Registry("block family", see="paredown techniques")


@dataclass(frozen=True)
class Piece:
    """A block's part of a blueprint, in its own terms.

    Attributes:
        layers: names relative to the block; channels as shares of `reads`, `writes` and `inner`.
        reads, writes: the groups that stand for the block's input and output; empty where the
            block cannot follow a cut, as behind a channel shuffle, so that none may be made.
        inner: channel groups that live inside the block.
    """

    layers: tuple[Layer, ...]
    reads: str
    writes: str
    inner: tuple[Group, ...]


@lru_cache(maxsize=4096)
def piece(family: str, spec: ConvSpec) -> Piece:
    """A family's block for that place, as layers: traced on the meta device, then remembered."""
    with torch.device("meta"):
        probe = _Probe(FAMILIES.get(family).build(spec), spec)
    images = torch.zeros(2, 1, *spec.geometry.input_size, device="meta")
    traced = trace_with_groups(probe, images)
    into, out = traced.layer("before").writes, traced.layer("after").reads
    reads, writes = _whole_group(into), _whole_group(out)
    if reads == writes:  # tied to each other, and perhaps to nothing else in the network
        reads = writes = ""
    stuck = {*into.groups, *out.groups} - {reads, writes}
    traced = traced.frozen(stuck)
    return Piece(
        layers=tuple(
            replace(layer, name=layer.name.removeprefix("block").removeprefix("."))
            for layer in traced.layers
            if layer.name not in ("before", "after")
        ),
        reads=reads,
        writes=writes,
        inner=tuple(g for name, g in traced.groups.items() if name not in (reads, writes)),
    )


def convolution(block: nn.Module, name: str) -> nn.Conv2d:
    """The convolution of that name inside a block."""
    module = block.get_submodule(name)
    if not isinstance(module, nn.Conv2d):
        raise TypeError(f"expected a convolution at {name!r}, got {type(module).__name__}")
    return module


def join(first: str, second: str) -> str:
    """A dotted module name; the second part may be empty."""
    return f"{first}.{second}" if second else first


class _Probe(nn.Module):
    """A block between two convolutions, so that its ends are channel groups like any other."""

    def __init__(self, block: nn.Module, spec: ConvSpec) -> None:
        super().__init__()
        self.before = nn.Conv2d(1, spec.in_channels, 1)
        self.block = block
        self.after = nn.Conv2d(spec.out_channels, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.after(self.block(self.before(x)))
        return out.mean((2, 3))


def _whole_group(channels: Channels) -> str:
    """The group that these channels are; empty if they are several, or part of one."""
    return next((group for group in channels.groups if channels.is_group(group)), "")
