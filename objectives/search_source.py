"""The source of the search split. Stored with studies, so this file needs no images or torch."""

from enum import StrEnum


class SearchSource(StrEnum):
    """The source of the images of a search split."""

    OWN = "own"  # the data set has a search part
    TRAIN = "train"  # split off from the training part
    TEST = "test"  # one half of the test part; the other half is the test split
    WHOLE = "whole"  # there is only a training part: both search and test split are split off
