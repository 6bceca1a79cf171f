"""torchvision, importable beside a CPU-only torch. Import it from here, never directly.

The torchvision wheel links CUDA; beside a CPU-only torch its library does not load, and
`import torchvision` fails with "operator torchvision::nms does not exist": it registers fake
kernels for two operators that only the library defines. Declaring the two operators is enough for
models, datasets and transforms, which never call them. Where torchvision imports cleanly, this
module changes nothing.
"""

import sys

import torch

from .lazy_imports import paused_gc

_OPERATORS = ("nms", "qnms")
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

with paused_gc():
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        for _name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[_name]
        # NOTE: must stay alive; torch drops the declarations with this object.
        _LIBRARY = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for _operator in _OPERATORS:
            _LIBRARY.define(_operator + _SIGNATURE)  # type: ignore[no-untyped-call]
        import torchvision

__all__ = ["torchvision"]
