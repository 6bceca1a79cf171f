"""Python objects passed by the user (networks, functions and data sets), under generated names."""

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
    """Objects under generated names such as "<ResNet 1>", as weak references.

    Args:
        noun: the type of the objects, for errors: "model".
    """

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self._things: WeakValueDictionary[str, Thing] = WeakValueDictionary()
        self._numbers: Iterator[int] = itertools.count(1)

    def add(self, title: str, thing: Thing) -> str:
        """Add an object. Returns its generated name, unique in this process."""
        name = f"{_ENDS[0]}{title} {next(self._numbers)}{_ENDS[1]}"
        self._things[name] = thing
        return name

    def restore(self, name: str, thing: Thing) -> None:
        """Add an object under a name that was generated in another process."""
        self._things[name] = thing

    def find(self, name: str) -> Thing | None:
        """Look up an object; None if the name is not a generated one.

        Raises:
            InputError: the object does not exist any more.
        """
        if not is_session_name(name):
            return None
        thing = self._things.get(name)
        if thing is None:
            raise InputError(
                f"the {self.noun} {name} was passed as a Python object, which does not exist any "
                "more; pass it again, to paredown.pare"
            )
        return thing


def is_session_name(name: str) -> bool:
    """Return whether a name is a generated one."""
    return name.startswith(_ENDS[0]) and name.endswith(_ENDS[1])


SESSION_OBJECTS: SessionObjects[Model] = SessionObjects("model")


def give(model: nn.Module | Callable[..., nn.Module]) -> tuple[str, Model]:
    """Register a network, or a function that returns one, under a generated name.

    Args:
        model: a network, which is copied and never changed, or a function.

    Returns:
        The name, and the model. The name is valid as long as the caller references the model.

    Raises:
        ModelError: neither a network nor a function.
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
    """Return "module:function"; lambdas are named "function"."""
    module = getattr(function, "__module__", None) or "__main__"
    name = getattr(function, "__name__", "")
    return f"{module}:{name if name.isidentifier() else 'function'}"


def _as_new(model: Model) -> Model:
    """Return a model whose networks are on the CPU; a trained network often is on a GPU."""

    def build(classes: int, channels: int) -> nn.Module:
        network = model.build(classes, channels)
        if any(parameter.is_meta for parameter in network.parameters()):
            raise ModelError("the network is on the meta device; expected one with weights")
        return network.cpu()

    name = model.name.rpartition(":")[2].rpartition(".")[2]  # last part of a class's qualified name
    module = model.name.rpartition(":")[0]
    return dataclasses.replace(model, name=f"{module}:{name}", build=build)
