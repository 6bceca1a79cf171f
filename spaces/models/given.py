"""Networks and functions that were given as objects, where a study wants a model's name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from ...errors import ModelError
from ...lazy_imports import nn
from ..given import Given
from .brought import brought_model, given_model
from .model import Model

GIVEN: Given[Model] = Given("model")


def give(model: nn.Module | Callable[..., nn.Module]) -> tuple[str, Model]:
    """Name a network, or a function that returns one.

    Args:
        model: it; a network is copied when it is wanted, and never changed.

    Returns:
        The name, and the model that it stands for as long as somebody keeps it.

    Raises:
        ModelError: it is neither.
        InputError, UserCodeError: the function cannot be called.
    """
    if isinstance(model, nn.Module):
        made = _as_new(given_model(model))
    elif callable(model):
        made = brought_model(model, _name_of(model))
    else:
        raise ModelError(
            "expected a network, a function that returns one, or the name of a model, got "
            f"{model!r} of type {type(model).__name__}"
        )
    return GIVEN.add(made.name.rpartition(":")[2], made), made


def _name_of(function: Callable[..., nn.Module]) -> str:
    """ "module:function"; a lambda has a word in place of its name."""
    module = getattr(function, "__module__", None) or "__main__"
    name = getattr(function, "__name__", "")
    return f"{module}:{name if name.isidentifier() else 'function'}"


def _as_new(model: Model) -> Model:
    """The same on the CPU, where a trained network often is not."""

    def build(classes: int, channels: int) -> nn.Module:
        network = model.build(classes, channels)
        if any(one.is_meta for one in network.parameters()):
            raise ModelError("the network is on the meta device: it has no numbers to begin with")
        return network.cpu()

    name = model.name.rpartition(":")[2].rpartition(".")[2]  # of a class in a function, its own
    module = model.name.rpartition(":")[0]
    return dataclasses.replace(model, name=f"{module}:{name}", build=build)
