"""Block families: what can stand in for a site. Importing the folder registers them all."""

from . import depthwise, dice, fire, ghost, inverted, nx1_1xn, plain, separable, shuffle
from .families import FAMILIES, BlockFamily, ConvFamily, ResidualFamily, find_family, variants

__all__ = [
    "FAMILIES",
    "BlockFamily",
    "ConvFamily",
    "ResidualFamily",
    "depthwise",
    "dice",
    "find_family",
    "fire",
    "ghost",
    "inverted",
    "nx1_1xn",
    "plain",
    "separable",
    "shuffle",
    "variants",
]
