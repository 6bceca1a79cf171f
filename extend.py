"""What extensions are written with, in one place: see docs/extending.md."""

from .objectives.cost import Cost
from .objectives.data import (
    SOURCES,
    Augmentation,
    DataRequest,
    DataSource,
    ImageSet,
    MemoryImages,
    Normalisation,
    Preset,
    Splits,
    fit,
    fitted_splits,
    split_parts,
    split_three,
    split_two,
)
from .objectives.objective import OBJECTIVES, Objective
from .spaces.blocks import FAMILIES, BlockFamily, ConvFamily, ResidualFamily
from .spaces.blocks.parts import depthwise, pointwise, shaped
from .spaces.blueprint import Blueprint
from .spaces.criteria import CRITERIA, Criterion, Ranking
from .spaces.kind import Surroundings
from .spaces.plan import Plan
from .spaces.sites import BlockSpec, ConvSpec
from .spaces.technique import Technique

__all__ = [
    "CRITERIA",
    "FAMILIES",
    "OBJECTIVES",
    "SOURCES",
    "Augmentation",
    "BlockFamily",
    "BlockSpec",
    "Blueprint",
    "ConvFamily",
    "ConvSpec",
    "Cost",
    "Criterion",
    "DataRequest",
    "DataSource",
    "ImageSet",
    "MemoryImages",
    "Normalisation",
    "Objective",
    "Plan",
    "Preset",
    "Ranking",
    "ResidualFamily",
    "Splits",
    "Surroundings",
    "Technique",
    "depthwise",
    "fit",
    "fitted_splits",
    "pointwise",
    "shaped",
    "split_parts",
    "split_three",
    "split_two",
]
