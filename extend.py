"""The names for writing extensions, in one place: see docs/extending.md."""

from .objectives.cost.cost import Cost
from .objectives.cost.objective import OBJECTIVES, Objective
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
from .spaces.blocks import FAMILIES, BlockFamily, ConvFamily, ResidualFamily
from .spaces.blocks.parts import depthwise, pointwise, shaped
from .spaces.criteria import CRITERIA, Criterion, Ranking
from .spaces.graph.blueprint import Blueprint
from .spaces.graph.sites import BlockSpec, ConvSpec
from .spaces.plan import Plan
from .spaces.technique import ApplyContext, TechniqueInfo

__all__ = [
    "CRITERIA",
    "FAMILIES",
    "OBJECTIVES",
    "SOURCES",
    "ApplyContext",
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
    "TechniqueInfo",
    "depthwise",
    "fit",
    "fitted_splits",
    "pointwise",
    "shaped",
    "split_parts",
    "split_three",
    "split_two",
]
