"""PyTorch under its usual names, imported when one of them is first used.

Importing torch takes a CPU second, and torchvision another. Whoever lists techniques, reads a plan
or asks a study for its winners needs neither. So modules that say what techniques are called, offer
and predict take `torch`, `nn` and `F` from here, and put off the evaluation of their annotations
(`from __future__ import annotations`). Classes of `nn.Module` need torch where they are defined:
they have modules of their own, which import torch itself and are imported by the functions that
build them.

Optuna does the same (`_LazyImport` in its `_imports.py`); Python 3.15 will have it as a statement
(PEP 810, https://peps.python.org/pep-0810/).
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any


@contextmanager
def paused_gc() -> Iterator[None]:
    """Imports inside are faster by a sixth: they make many objects and no garbage, for which
    Python's collector would look again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _LazyModule(ModuleType):
    """Stands for the module of its name: what is looked up in it is looked up there."""

    def __getattr__(self, name: str) -> Any:
        # Looked up anew each time, so that what tests patch in torch is patched here too.
        if self.__name__ in sys.modules:
            return getattr(import_module(self.__name__), name)
        with paused_gc():
            return getattr(import_module(self.__name__), name)


if TYPE_CHECKING:
    import torch
    import torch.nn.functional as F
    import torch_pruning
    from torch import nn
else:
    torch = _LazyModule("torch")
    nn = _LazyModule("torch.nn")
    F = _LazyModule("torch.nn.functional")
    torch_pruning = _LazyModule("torch_pruning")

__all__ = ["F", "nn", "paused_gc", "torch", "torch_pruning"]
