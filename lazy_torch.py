"""PyTorch under its usual names, imported when one of them is first used.

Importing torch takes a CPU second, torchvision and Torch-Pruning another. Whoever lists techniques,
reads a plan or asks a study for its winners needs none of them. So modules that say what techniques
are called, offer and predict take `torch`, `nn` and `F` from here, and put off the evaluation of
their annotations (`from __future__ import annotations`). Classes of `nn.Module` need torch where
they are defined: they have modules of their own, which import torch itself and are imported by the
functions that build them.

Optuna does the same (`_LazyImport` in its `_imports.py`); Python 3.15 will have it as a statement
(PEP 810, https://peps.python.org/pep-0810/).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    import torch.nn.functional as F
    import torch_pruning
    from torch import nn
else:
    from importlib import import_module
    from types import ModuleType
    from typing import Any

    class _LazyModule(ModuleType):
        """Stands for the module of its name: what is looked up in it is looked up there."""

        def __getattr__(self, name: str) -> Any:
            # Looked up anew each time, so that what tests patch in torch is patched here too.
            return getattr(import_module(self.__name__), name)

    torch = _LazyModule("torch")
    nn = _LazyModule("torch.nn")
    F = _LazyModule("torch.nn.functional")
    torch_pruning = _LazyModule("torch_pruning")

__all__ = ["F", "nn", "torch", "torch_pruning"]
