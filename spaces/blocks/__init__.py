"""Block families: replacements for convolutions and residual blocks, one paper per file, and their
insertion into a network's blueprint. Importing the folder registers all families."""

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
