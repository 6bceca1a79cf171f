"""A new part of a network, as the layers and channel groups that it brings along."""

from dataclasses import dataclass

from ..graph.blueprint import Channels, Group, Layer


@dataclass(frozen=True, eq=False)
class BlockGraph:
    """A new part of a network, in its own terms. Each is equal to itself alone.

    Attributes:
        layers: names relative to the part; channels as shares of its groups.
        reads: the group that stands for its input; empty where the part cannot follow a cut, as
            behind a channel shuffle, so that none may be made.
        writes: its output in terms of its groups: one group, several concatenated, or fixed.
        inner: the channel groups that live inside, the output's among them.
        ends: the convolution that writes its output as it is, if one does alone: a batch norm
            behind the part can be folded into it.
    """

    layers: tuple[Layer, ...]
    reads: str
    writes: Channels
    inner: tuple[Group, ...]
    ends: str = ""

    @property
    def is_tied(self) -> bool:
        """Whether input and output are the same channels, as around an identity shortcut."""
        return self.writes.is_group(self.reads)
