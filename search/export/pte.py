"""ExecuTorch files, for phones and embedded devices: https://docs.pytorch.org/executorch.

XNNPACK (https://github.com/google/XNNPACK) computes the operators that it supports, ExecuTorch's
portable kernels the rest. They compute in float32, at the levels of the plan's bit-widths:
XNNPACK's integer convolutions require quantized outputs, which plans do not have.
"""

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from ...errors import InputError
from ...extras import require_extra
from .dequantized import dequantized


def write_pte(network: nn.Module, images: torch.Tensor, path: Path) -> None:
    """Write a network for batches of one image; the network is not changed.

    The batch is fixed because ExecuTorch plans memory when the file is written.

    Args:
        network: the network, on the CPU.
        images: [2, channels, height, width], of the input size of the file.
        path: path of the file; its folder must exist.

    Raises:
        InputError: the extra `executorch` is not installed.
        RuntimeError: ExecuTorch cannot lower the network.
    """
    require_extra("executorch", "writing an ExecuTorch file")
    with torch.no_grad(), _quiet():
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        plain = dequantized(network)
        # NOTE: XNNPACK's passes fail on channels_last weights; XNNPACK reorders them itself.
        plain.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        program = torch.export.export(plain, (images[:1].contiguous(),))
        try:
            lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
            written = lowered.to_executorch().buffer
        except Exception as error:  # ExecuTorch does not document its errors
            raise RuntimeError(f"ExecuTorch cannot lower the network: {error}") from error
    path.write_bytes(written)


class ExecutorchModel:
    """An ExecuTorch file that runs on this machine's CPU.

    Args:
        path: path of the file.

    Raises:
        InputError: the extra `executorch` is not installed, or the file is not valid.
    """

    def __init__(self, path: Path) -> None:
        require_extra("executorch", "running an ExecuTorch file")
        with _quiet():
            from executorch.runtime import Runtime, Verification

            try:
                program = Runtime.get().load_program(
                    path.read_bytes(), verification=Verification.InternalConsistency
                )
                self._method = program.load_method("forward")
            except RuntimeError as error:
                raise InputError(
                    f"{path} cannot be run as an ExecuTorch file: {str(error).splitlines()[0]}"
                ) from None
        self._program = program  # NOTE: must stay alive, as the method reads its memory

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Scores, [batch, classes], of normalised images, [batch, channels, height, width]."""
        single = (image[None].contiguous() for image in images.float())
        return torch.cat([self._method.execute([item])[0].clone() for item in single])


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress ExecuTorch's internal messages: warnings, logs, and direct output to stderr."""
    with warnings.catch_warnings(), _no_logs(), tempfile.TemporaryFile() as elsewhere:
        warnings.simplefilter("ignore")
        remaining = os.dup(2)
        os.dup2(elsewhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(remaining, 2)
            os.close(remaining)


@contextmanager
def _no_logs() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
