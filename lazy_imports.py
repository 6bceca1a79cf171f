"""PyTorch under its usual names, imported at first use.

Importing torch takes a CPU second, torchvision another. Listing techniques, reading a plan and
reading a study's winners need neither. Modules on those paths take `torch`, `nn` and `F` from here
and postpone the evaluation of annotations (`from __future__ import annotations`). Subclasses of
`nn.Module` need torch at definition: they live in modules of their own, which import torch directly
and are imported by the functions that build them.

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
    """Pause Python's garbage collector, which makes imports inside faster by a sixth: they create
    many objects and no garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _LazyModule(ModuleType):
    """A proxy that imports the module of its name at the first attribute access."""

    def __getattr__(self, name: str) -> Any:
        # Not cached: what a test patches in torch must be patched here too.
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
