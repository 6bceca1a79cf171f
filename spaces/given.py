"""Objects that were given in Python, by a name that stands for them where studies want one."""

import itertools
from collections.abc import Iterator
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from ..errors import InputError

Thing = TypeVar("Thing")

_ENDS = ("<", ">")


class Given(Generic[Thing]):
    """Objects by name, such as "<ResNet 1>". They are not kept alive: whoever gave them does that.

    Args:
        what: one of them is, for errors: "model".
    """

    def __init__(self, what: str) -> None:
        self.what = what
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
        if not is_given(name):
            return None
        found = self._things.get(name)
        if found is None:
            raise InputError(
                f"the {self.what} {name} was given as an object in Python and is not there any "
                "more: give it again, to paredown.pare"
            )
        return found


def is_given(name: str) -> bool:
    """Whether a name stands for an object."""
    return name.startswith(_ENDS[0]) and name.endswith(_ENDS[1])
