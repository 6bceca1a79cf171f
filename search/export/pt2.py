"""Files of torch.export, in float32: https://docs.pytorch.org/docs/stable/export.html."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from .dequantized import dequantized


def write_pt2(network: nn.Module, images: torch.Tensor, path: Path) -> None:
    """Write a network with a dynamic batch; the network is not changed.

    Args:
        network: the network, on the CPU.
        images: [2, channels, height, width], of the input size of the file.
        path: path of the file; its folder must exist.
    """
    batch = torch.export.Dim("batch", min=1)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings about internals of the exporter
        program = torch.export.export(dequantized(network), (images,), dynamic_shapes=({0: batch},))
        torch.export.save(program, path)


def read_pt2(path: Path) -> nn.Module:
    """Load a file of tensors and operators as a module; nothing else is unpickled."""
    with _nothing_unpickled(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.load(path).module()


@contextmanager
def _nothing_unpickled() -> Iterator[None]:
    """Force torch.load to weights_only=True inside, whoever calls it."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
