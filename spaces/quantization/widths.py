"""Bit-widths by name, and which of them exported files support."""

import re
from dataclasses import dataclass
from functools import lru_cache

from ...errors import UnknownName

FLOAT_BITS = 32
INTEGER_BITS = 8
"""Types with at most this many bits are integers."""

EDGE_BITS = 8
"""The minimum bits of the first and the last layer, unless a bit-width has "+edges"."""

_SHIPPED_WEIGHTS = (32, 16, 8, 4)
_SHIPPED_ACTIVATIONS = (32, 16, 8)
_SIMULATED = (6, 5, 3, 2)
_EDGES = "+edges"


@dataclass(frozen=True)
class BitWidth:
    """The bits of weights and of activations: 8 and 8 is "w8a8".

    32 and 16 are floating-point formats, the others integers.

    Attributes:
        edges: whether the first and the last layer have this width too, below `EDGE_BITS`.
    """

    weights: int
    activations: int
    edges: bool = False

    @property
    def name(self) -> str:
        return f"w{self.weights}a{self.activations}{_EDGES if self.edges else ''}"

    @property
    def ships(self) -> bool:
        """Whether exported files support this width; other widths are only simulated."""
        return BitWidth(self.weights, self.activations) in shipped_widths()

    @property
    def spares_edges(self) -> bool:
        """Whether the first and the last layer have more bits than this width."""
        return not self.edges and min(self.weights, self.activations) < EDGE_BITS

    def at_edge(self) -> "BitWidth":
        """Return the bit-width of the first and the last layer."""
        if not self.spares_edges:
            return self
        return BitWidth(max(self.weights, EDGE_BITS), max(self.activations, EDGE_BITS))


@lru_cache
def shipped_widths() -> tuple[BitWidth, ...]:
    """Return the widths that exported files support, the most bits first."""
    return tuple(
        BitWidth(weights, activations)
        for weights in _SHIPPED_WEIGHTS
        for activations in _SHIPPED_ACTIVATIONS
        if weights <= activations
    )


def simulated_weights() -> tuple[int, ...]:
    """Return the weight bits that are only simulated."""
    return _SIMULATED


@lru_cache(maxsize=256)
def find_width(name: str) -> BitWidth:
    """Parse a bit-width: "w8a8", "w4a16", or "w4a8+edges" to include the first and last layer.

    Raises:
        UnknownName: not a bit-width.
    """
    match = re.fullmatch(r"w(\d+)a(\d+)(\+edges)?", name)
    known = (*_SHIPPED_WEIGHTS, *_SIMULATED)
    if match is None or int(match[1]) not in known or int(match[2]) not in known:
        names = [width.name for width in shipped_widths()]
        raise UnknownName("bit-width", name, names, "paredown techniques")
    width = BitWidth(int(match[1]), int(match[2]))
    return BitWidth(width.weights, width.activations, bool(match[3]) and width.spares_edges)
