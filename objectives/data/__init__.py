"""Data sets: sources, train, search and test splits, augmentation and normalisation.

`load_data(DataRequest("digits"))` returns `Splits`: train, search and test images, each an
`ImageSet` of uint8 batches. A new source is a new file that registers a `DataSource` and is
imported here.
"""

from ..search_source import SearchSource
from .images import ImageSet, ImageSource, MemoryImages, StreamedImages
from .in_memory_data import give_data
from .request import DataRequest
from .resize import Preset, ResizedImages, fit, fitted_splits
from .sources import SOURCES, DataSource, find_data, load_data, own_data
from .splits import Splits, split_parts, split_three, split_two
from .transforms import IMAGENET, Augmentation, Normalisation

# Imported to register their sources.
from . import digits, torchvision_sets  # isort: skip

__all__ = [
    "IMAGENET",
    "SOURCES",
    "Augmentation",
    "DataRequest",
    "DataSource",
    "ImageSet",
    "ImageSource",
    "MemoryImages",
    "Normalisation",
    "Preset",
    "ResizedImages",
    "SearchSource",
    "Splits",
    "StreamedImages",
    "digits",
    "find_data",
    "fit",
    "fitted_splits",
    "give_data",
    "load_data",
    "own_data",
    "split_parts",
    "split_three",
    "split_two",
    "torchvision_sets",
]
