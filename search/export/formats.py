"""The export formats. A new format is an entry in `FORMATS`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from ...errors import InputError, UnknownName
from ...extras import missing_packages
from ..onnx import OnnxModel, can_saturate, write_onnx
from .latency import Runs
from .manifest import Manifest
from .pt2 import read_pt2, write_pt2
from .pte import ExecutorchModel, write_pte
from .rebuilding import rebuilt


@dataclass(frozen=True)
class Format:
    """An export format.

    An export calls `write` for the winner and then for the baseline, and `read` for both files.

    Attributes:
        name: name in commands.
        suffix: suffix of its files, with the dot.
        extra: the extra that it needs, or "".
        write: (network on the CPU, two example images, path) -> None; writes a file. Raises
            RuntimeError if the network cannot be written.
        read: (path, manifest) -> callable that runs the file. Raises InputError for other files.
    """

    name: str
    suffix: str
    extra: str
    write: Callable[[nn.Module, torch.Tensor, Path], None]
    read: Callable[[Path, Manifest], Runs]

    @property
    def file(self) -> str:
        """Name of the file in an exported folder."""
        return f"model{self.suffix}"


def _write_safetensors(network: nn.Module, images: torch.Tensor, path: Path) -> None:
    tensors = {name: item.contiguous() for name, item in network.state_dict().items()}
    path.write_bytes(save(tensors))


def _write_onnx(network: nn.Module, images: torch.Tensor, path: Path) -> None:
    write_onnx(network, images, path)
    if can_saturate(path):  # the check in this machine's runtime may pass, if it has VNNI
        raise RuntimeError(
            "sums of pairs of its 8-bit products can exceed 16 bits, so its outputs would differ "
            "on x86 processors without VNNI"
        )


def _read_onnx(path: Path, manifest: Manifest) -> Runs:
    try:
        return OnnxModel(path)
    except InputError:
        raise
    except Exception as error:  # onnxruntime does not document its errors
        raise InputError(f"{path} cannot be run as an ONNX file: {_first_line(error)}") from None


def _read_pt2(path: Path, manifest: Manifest) -> Runs:
    try:
        return _no_grad(read_pt2(path))
    except Exception as error:  # torch.export does not document its errors
        raise InputError(
            f"{path} cannot be run as a torch.export file: {_first_line(error)}"
        ) from None


def _read_pte(path: Path, manifest: Manifest) -> Runs:
    return ExecutorchModel(path)


def _read_safetensors(path: Path, manifest: Manifest) -> Runs:
    return _no_grad(rebuilt(manifest, path))


def _no_grad(network: Runs) -> Runs:
    def run(images: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return network(images)

    return run


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


FORMATS: Mapping[str, Format] = {
    file_format.name: file_format
    for file_format in (
        Format("onnx", ".onnx", "onnx", _write_onnx, _read_onnx),
        Format("pt2", ".pt2", "", write_pt2, _read_pt2),
        Format("executorch", ".pte", "executorch", write_pte, _read_pte),
        Format("safetensors", ".safetensors", "", _write_safetensors, _read_safetensors),
    )
}


def installed_formats() -> tuple[Format, ...]:
    """The formats whose extra is installed."""
    return tuple(
        file_format
        for file_format in FORMATS.values()
        if not (file_format.extra and missing_packages(file_format.extra))
    )


def parse_formats(words: str) -> tuple[Format, ...]:
    """Parse a list of formats such as "onnx,pt2".

    Raises:
        UnknownName: no such format.
    """
    names = dict.fromkeys(word.strip() for word in words.split(","))
    for name in names:
        if name not in FORMATS:
            raise UnknownName("format", name, FORMATS)
    return tuple(FORMATS[name] for name in names)


def format_of(path: Path) -> Format:
    """The format of a file, by its suffix.

    Raises:
        InputError: no format has the suffix.
    """
    for file_format in FORMATS.values():
        if path.suffix == file_format.suffix:
            return file_format
    known = ", ".join(file_format.suffix for file_format in FORMATS.values())
    raise InputError(f"{path} is not an exported model; expected a file that ends in {known}")
