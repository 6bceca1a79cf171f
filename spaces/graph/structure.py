"""The structure of a network besides its layers: residual blocks, the classifier head, and
uncounted operators. `spaces.graph.structure_detection` detects it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType


class Shortcut(StrEnum):
    """The shortcut of a block: its input, a projection of it, or none."""

    IDENTITY = "identity"
    PROJECTION = "projection"
    NONE = "none"


@dataclass(frozen=True)
class ResidualBlock:
    """A module that adds a shortcut to a branch with a spatial convolution.

    Modules of the same class without a shortcut are blocks, too.

    Attributes:
        name: the module name.
        entry: the first layer that reads the block's input channels.
        middle: the first convolution with a kernel of 3 or more; its output is the hidden width.
        exit: the last layer that writes the block's output channels.
        input_size, output_size: [height, width] in pixels.
        shortcut: the type of the shortcut.
    """

    name: str
    entry: str
    middle: str
    exit: str
    input_size: tuple[int, int]
    output_size: tuple[int, int]
    shortcut: Shortcut

    @cached_property
    def stride(self) -> tuple[int, int]:
        """The downsampling factor, [height, width]."""
        (height, width), (less_high, less_wide) = self.input_size, self.output_size
        return -(-height // max(1, less_high)), -(-width // max(1, less_wide))


@dataclass(frozen=True)
class ClassifierHead:
    """The layers behind the last feature map.

    Attributes:
        pools: pooling modules in order.
        linears: linear layers in order.
        company: all other modules: activations, dropout, normalisation.
        pixels: the number of values per channel that the first linear layer reads.
        size: [height, width] of the last feature map in pixels.
        functional: operators outside of modules, except reshaping.
        fixed: whether the number of features is fixed (`spaces.pruning.verify_head`).
    """

    pools: tuple[str, ...]
    linears: tuple[str, ...]
    company: tuple[str, ...]
    pixels: int
    size: tuple[int, int]
    functional: tuple[str, ...] = ()
    fixed: bool = False


@dataclass(frozen=True)
class Uncounted:
    """A matrix product or attention outside of convolutions and linear layers: not counted."""

    module: str
    op: str

    @property
    def text(self) -> str:
        return f"{self.op.removeprefix('aten::')} in {self.module or 'the network itself'}"


@dataclass(frozen=True)
class NetworkStructure:
    """The detected structure of a network.

    Attributes:
        normalised: convolution -> the batch norm that alone reads its output.
        blocks: residual blocks in running order.
        classifier_head: None if the network has no such head.
        uncounted: operators that MACs do not include.
    """

    normalised: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    blocks: tuple[ResidualBlock, ...] = ()
    classifier_head: ClassifierHead | None = None
    uncounted: tuple[Uncounted, ...] = ()
