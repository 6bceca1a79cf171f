"""Block families: what can stand in for a convolution. Importing the folder registers them all."""

from . import nx1_1xn, separable
from .family import FAMILIES, BlockFamily
from .kind import Blocks

__all__ = ["FAMILIES", "BlockFamily", "Blocks", "nx1_1xn", "separable"]
