"""The layers and channel groups of a block, ready for insertion into a blueprint."""

from dataclasses import dataclass

from ..graph.blueprint import Channels, Group, Layer


@dataclass(frozen=True, eq=False)
class BlockGraph:
    """The layers and channel groups of a block. Compared by identity.

    Attributes:
        layers: names relative to the block; channels as shares of its groups.
        reads: the channel group of the input; empty if the input must not be pruned, as before a
            channel shuffle.
        writes: the output channels: one group, several concatenated groups, or fixed.
        inner: the channel groups inside, including those of the output.
        ends: the convolution whose output is the output of the block, into which a following batch
            norm can be folded; empty if there is none.
    """

    layers: tuple[Layer, ...]
    reads: str
    writes: Channels
    inner: tuple[Group, ...]
    ends: str = ""

    @property
    def is_tied(self) -> bool:
        """Whether input and output are one channel group, as with an identity shortcut."""
        return self.writes.is_group(self.reads)
