"""In-memory objects for the evaluating process: networks, data sets, registered techniques.

Networks and data sets passed to `paredown.pare`, and techniques registered in a script or notebook,
have names that are only known in the process that created them.
"""

import sys
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from ...objectives.cost.objective import OBJECTIVES
from ...objectives.data import SOURCES
from ...objectives.data.sources import SESSION_OBJECTS as GIVEN_DATA
from ...objectives.evaluation.task_spec import TaskSpec
from ...registry import Registry
from ...spaces.blocks.families import FAMILIES
from ...spaces.criteria import CRITERIA
from ...spaces.models import MODELS
from ...spaces.models.in_memory import SESSION_OBJECTS as GIVEN_MODELS
from ...spaces.models.in_memory import SessionObjects
from ...spaces.quantizers import QUANTIZERS
from ...spaces.techniques import TECHNIQUES

_SESSION_OBJECTS: dict[str, SessionObjects[Any]] = {"models": GIVEN_MODELS, "data": GIVEN_DATA}
_REGISTRIES: dict[str, Registry[Any]] = {
    "blocks": FAMILIES,
    "criteria": CRITERIA,
    "techniques": TECHNIQUES,
    "quantizers": QUANTIZERS,
    "sources": SOURCES,
    "objectives": OBJECTIVES,
    "named models": MODELS,
}
_HERE = __name__.partition(".")[0]


class CannotBeSent(Exception):
    """An object cannot be used in another process; the message names it."""


def objects_of(spec: TaskSpec) -> dict[str, dict[str, Any]]:
    """The objects of a task that the evaluating process cannot find by name.

    Raises:
        CannotBeSent: a technique was registered outside of a module: its results are cached by a
            digest of its code, which another process cannot compute.
    """
    names = {"models": spec.model, "data": spec.data.name_or_path}
    objects = dict[str, dict[str, Any]]()
    for where, name in names.items():
        thing = _SESSION_OBJECTS[where].find(name)
        objects[where] = {} if thing is None else {name: thing}
    for where, registry in _REGISTRIES.items():
        objects[where] = {}
        for record in registry.not_from_files():
            modules = set(_modules_of(record)) - {""}
            if not modules:
                continue
            if "__main__" in modules or not modules <= sys.modules.keys():
                raise CannotBeSent(
                    f"the {registry.noun} {record.name!r} was registered in a script or notebook; "
                    "register it in a module of its own"
                )
            objects[where][record.name] = record
    return objects


def register_objects(objects: Mapping[str, Mapping[str, Any]]) -> object:
    """Register objects under their names; return a reference that keeps them alive."""
    for where, provided in _SESSION_OBJECTS.items():
        for name, thing in objects[where].items():
            provided.restore(name, thing)
    for where, registry in _REGISTRIES.items():
        for name, record in objects[where].items():
            if name not in registry:
                registry.register(record)
    return objects


def _modules_of(record: object) -> Iterator[str]:
    """The modules outside of Paredown that define a record's class and functions."""
    values = [value for value in vars(record).values() if callable(value)]
    for value in (type(record), *values):
        function = value.func if isinstance(value, partial) else value
        module = getattr(function, "__module__", None) or type(function).__module__
        yield "" if module.partition(".")[0] in (_HERE, "builtins", "torch") else module
