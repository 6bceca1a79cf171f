"""Where the images that score plans come from. Known without any image: studies keep it."""

from enum import StrEnum


class SearchSource(StrEnum):
    """Where the images of a search split come from."""

    OWN = "own"  # the data set brings a search part
    TRAIN = "train"  # split off from the training part
    TEST = "test"  # one half of the test part; the other half is the test split
    WHOLE = "whole"  # the test split, too, was split off from what there is to train on
