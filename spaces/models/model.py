"""What a model is to Paredown: a name and a function that builds the network."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from ...errors import ModelError
from ..registry import Registry


@dataclass(frozen=True)
class Model:
    """A network that can be built by name.

    Attributes:
        name: as written in commands and study files.
        title: in words.
        build: (classes, image channels) -> the network with random weights.
        channels: the image channels that it takes: 1, 3, or None for either.
        paper, link: what it comes from and where to read it.
    """

    name: str
    title: str
    build: Callable[[int, int], nn.Module]
    channels: int | None
    paper: str = ""
    link: str = ""


MODELS: Registry[Model] = Registry("model", see="paredown models")


def build_model(name: str, classes: int, channels: int) -> nn.Module:
    """A network of that name with random weights.

    Args:
        name: a registered model.
        classes: how many classes it tells apart.
        channels: of its images, 1 or 3.

    Raises:
        UnknownName: no such model.
        ModelError: the model takes other images, or cannot be built so.
    """
    model = MODELS.get(name)
    if model.channels not in (None, channels):
        raise ModelError(f"{name} takes images of {model.channels} channels, got {channels}")
    if classes < 1 or channels < 1:
        raise ModelError(f"{name} cannot be built for {classes} classes and {channels} channels")
    try:
        return model.build(classes, channels)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{name} cannot be built for {classes} classes: {error}") from error
