"""The record of a model: a name and a function that builds the network."""

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
        title: a short description.
        build: (classes, image channels) -> the network.
        channels: the required image channels: 1, 3, or None for either.
        paper, link: source and its address.
        digest: a digest of the user's code that builds the network; empty for other models.
        has_weights: whether `build` may return trained weights, as a user's function can.
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
