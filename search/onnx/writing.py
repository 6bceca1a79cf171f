"""Writing a network as an ONNX file: torch's exporter, and each tensor in its own bit-width."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ...extras import require_extra
from .stored_layers import FLOAT16, INT4, OPSET, stored

if TYPE_CHECKING:
    import onnx_ir

INPUT, OUTPUT, BATCH = "images", "scores", "batch"
"""Names of input, output and batch dimension in the file."""


def write_onnx(network: nn.Module, images: torch.Tensor, path: Path) -> None:
    """Write a network as an ONNX file with a dynamic batch; the network is not changed.

    The file maps float32 images, [batch, channels, height, width], normalised as for the network,
    to scores, [batch, classes]. Batch norm is folded, and weights are stored as float32, float16,
    int8 or int4; other simulated bit-widths are stored in the next wider type.

    Args:
        network: the network.
        images: [2, channels, height, width], of the input size of the file.
        path: path of the file; its folder must exist.

    Raises:
        InputError: the extra `onnx` is not installed.
    """
    require_extra("onnx", "writing an ONNX file")
    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            stored(network),
            (images.cpu(),),
            dynamo=True,
            verbose=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim(BATCH, min=1)},),
            opset_version=OPSET,
        )
    if program is None:
        raise RuntimeError("torch's exporter returned no program")
    _narrow(program.model)
    _forget_traces(program.model)
    program.save(str(path))


def initializer_bytes(path: Path) -> int:
    """Bytes of all tensors stored in an ONNX file."""
    import onnx_ir

    return sum(tensor.nbytes for tensor in _tensors(onnx_ir.load(path)))


def _tensors(model: "onnx_ir.Model") -> Iterator[Any]:
    for value in model.graph.initializers.values():
        if value.const_value is not None:
            yield value.const_value
    for node in model.graph:
        if node.op_type == "Constant" and "value" in node.attributes:
            yield node.attributes["value"].as_tensor()


def _narrow(model: "onnx_ir.Model") -> None:
    """Convert tensors to the dtypes that torch's exporter does not write."""
    import onnx_ir

    for name, value in list(model.graph.initializers.items()):
        if value.const_value is None:
            continue
        numbers = value.const_value.numpy()
        if _is(name, INT4):
            narrow = onnx_ir.tensor(numbers, dtype=onnx_ir.DataType.INT4, name=name)
            value.const_value, value.dtype = narrow, onnx_ir.DataType.INT4
        elif _is(name, FLOAT16):
            _widen_when_read(model, value, numbers.astype("float16"))


def _is(name: str, suffix: str) -> bool:
    return name.rpartition(".")[2] == suffix


def _widen_when_read(model: "onnx_ir.Model", value: "onnx_ir.Value", numbers: Any) -> None:
    """Store a float32 tensor as float16, with a Cast before its consumers."""
    import onnx_ir

    name = str(value.name)
    tensor = onnx_ir.tensor(numbers, name=f"{name}_16")
    narrow = onnx_ir.Value(
        name=tensor.name,
        shape=value.shape,
        type=onnx_ir.TensorType(onnx_ir.DataType.FLOAT16),
        const_value=tensor,
    )
    cast = onnx_ir.node("Cast", [narrow], {"to": int(onnx_ir.DataType.FLOAT)})
    cast.outputs[0].name = f"{name}_32"
    cast.outputs[0].dtype, cast.outputs[0].shape = onnx_ir.DataType.FLOAT, value.shape
    onnx_ir.convenience.replace_all_uses_with(value, cast.outputs[0])
    del model.graph.initializers[name]
    model.graph.register_initializer(narrow)
    model.graph.insert_before(model.graph[0], cast)


def _forget_traces(model: "onnx_ir.Model") -> None:
    """Remove the metadata of nodes, in which the exporter stores local paths."""
    for node in model.graph:
        node.metadata_props.clear()


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the exporter's internal warnings and logs."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
