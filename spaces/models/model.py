"""What a model is to Paredown: a name and a function that builds the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...lazy_imports import nn
from ...registry import Registry


@dataclass(frozen=True)
class Model:
    """A network that can be built by name.

    Attributes:
        name: as written in commands and study files.
        title: in words.
        build: (classes, image channels) -> the network with random weights.
        channels: the image channels that it takes: 1, 3, or None for either.
        paper, link: what it comes from and where to read it.
        digest: over the source that builds it, if that is the user's and may change.
        has_weights: whether `build` may give trained weights, as a user's own function can.
    """

    name: str
    title: str
    build: Callable[[int, int], nn.Module]
    channels: int | None
    paper: str = ""
    link: str = ""
    digest: str = ""
    has_weights: bool = False


MODELS: Registry[Model] = Registry("model", see="paredown models")
