"""What a network has besides layers: residual blocks, a tail behind its last feature map, and
operators that no layer stands for. `spaces.graph.structure_detection` finds them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType


class Shortcut(StrEnum):
    """What a block adds to its branch: its input as it is, something made of it, or nothing."""

    IDENTITY = "identity"
    PROJECTION = "projection"
    NONE = "none"


@dataclass(frozen=True)
class ResidualBlock:
    """A module that adds something to a branch with a spatial convolution, or one of its kind.

    Attributes:
        name: of the module.
        entry: its first layer that reads the block's input channels.
        middle: its first convolution with a kernel of 3 or more: what it writes is the hidden
            width.
        exit: its last layer that writes the block's output channels.
        input_size, output_size: of its images, in pixels.
        shortcut: what is added.
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
        """By how much it makes images smaller, [height, width]."""
        (height, width), (less_high, less_wide) = self.input_size, self.output_size
        return -(-height // max(1, less_high)), -(-width // max(1, less_wide))


@dataclass(frozen=True)
class ClassifierHead:
    """What follows the last feature map: pooling, reshaping, and linear layers with company.

    Attributes:
        pools: pooling modules in order.
        linears: linear layers in order.
        company: what else stands there: activations, dropout, normalisation.
        pixels: how many values of each channel of the feature map the first linear layer reads.
        size: of the last feature map, in pixels.
        functional: operators that no module stands for, reshaping aside.
        fixed: whether it takes no other number of features (`spaces.pruning.verify_head`).
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
    """Arithmetic that no convolution or linear layer stands for, so that no count has it."""

    module: str
    op: str

    @property
    def text(self) -> str:
        return f"{self.op.removeprefix('aten::')} in {self.module or 'the network itself'}"


@dataclass(frozen=True)
class NetworkStructure:
    """Everything that was found.

    Attributes:
        normalised: convolution -> the batch norm that alone reads its output.
        blocks: residual blocks in running order.
        classifier_head: None where the network ends in another way.
        uncounted: arithmetic that counts leave out.
    """

    normalised: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    blocks: tuple[ResidualBlock, ...] = ()
    classifier_head: ClassifierHead | None = None
    uncounted: tuple[Uncounted, ...] = ()
