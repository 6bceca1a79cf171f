"""Objects given in Python, and the names that stand for them: networks, functions and data sets."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from ...errors import InputError, ModelError
from ...lazy_imports import nn
from .brought import brought_model, session_model
from .model import Model

Thing = TypeVar("Thing")

_ENDS = ("<", ">")


class SessionObjects(Generic[Thing]):
    """Objects by name, such as "<ResNet 1>". They are not kept alive: whoever gave them does that.

    Args:
        noun: one of them is, for errors: "model".
    """

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self._things: WeakValueDictionary[str, Thing] = WeakValueDictionary()
        self._numbers: Iterator[int] = itertools.count(1)

    def add(self, title: str, thing: Thing) -> str:
        """Name an object. Returns the name, which no other has in this process."""
        name = f"{_ENDS[0]}{title} {next(self._numbers)}{_ENDS[1]}"
        self._things[name] = thing
        return name

    def restore(self, name: str, thing: Thing) -> None:
        """Let a name that was given in another process stand for an object here."""
        self._things[name] = thing

    def find(self, name: str) -> Thing | None:
        """The object of that name; None if the name is not that of an object.

        Raises:
            InputError: it is, but the object is not there any more.
        """
        if not is_session_name(name):
            return None
        thing = self._things.get(name)
        if thing is None:
            raise InputError(
                f"the {self.noun} {name} was given as an object in Python and is not there any "
                "more: give it again, to paredown.pare"
            )
        return thing


def is_session_name(name: str) -> bool:
    """Whether a name stands for an object."""
    return name.startswith(_ENDS[0]) and name.endswith(_ENDS[1])


SESSION_OBJECTS: SessionObjects[Model] = SessionObjects("model")


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
        registered = _as_new(session_model(model))
    elif callable(model):
        registered = brought_model(model, _name_of(model))
    else:
        raise ModelError(
            "expected a network, a function that returns one, or the name of a model, got "
            f"{model!r} of type {type(model).__name__}"
        )
    return SESSION_OBJECTS.add(registered.name.rpartition(":")[2], registered), registered


def _name_of(function: Callable[..., nn.Module]) -> str:
    """ "module:function"; a lambda has a word in place of its name."""
    module = getattr(function, "__module__", None) or "__main__"
    name = getattr(function, "__name__", "")
    return f"{module}:{name if name.isidentifier() else 'function'}"


def _as_new(model: Model) -> Model:
    """The same on the CPU, where a trained network often is not."""

    def build(classes: int, channels: int) -> nn.Module:
        network = model.build(classes, channels)
        if any(parameter.is_meta for parameter in network.parameters()):
            raise ModelError("the network is on the meta device: it has no numbers to begin with")
        return network.cpu()

    name = model.name.rpartition(":")[2].rpartition(".")[2]  # of a class in a function, its own
    module = model.name.rpartition(":")[0]
    return dataclasses.replace(model, name=f"{module}:{name}", build=build)
