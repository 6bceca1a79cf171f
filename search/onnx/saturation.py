"""Detects ONNX files whose outputs can differ on processors without VNNI, by their integers.

Such x86 processors add pairs of products of unsigned activations and signed 8-bit weights in 16
bits, which saturate; see `spaces.quantization.rounding.LARGEST_PAIR`. The stored levels alone
determine whether that can happen, for any images and any pairing; nothing is run.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy

from ...extras import require_extra
from ...spaces.quantization.rounding import LARGEST_PAIR

if TYPE_CHECKING:
    import onnx_ir

_LAYERS = ("Conv", "Gemm", "MatMul")
_INTEGERS = frozenset({"INT8", "UINT8"})


def saturating_channels(path: Path) -> dict[str, int]:
    """Name of a layer's weight -> number of output channels that can saturate, where above 0.

    Considered are convolutions and linear layers whose input and weights come from
    DequantizeLinear, 8 bits each, as Paredown writes them. Other layers compute in floating point,
    or in products of 4 bits that always fit.

    Args:
        path: path of an ONNX file.

    Raises:
        InputError: the extra `onnx` is not installed.
    """
    require_extra("onnx", "reading an ONNX file")
    import onnx_ir

    counts = {name: _count(levels) for name, levels in _integer_weights(onnx_ir.load(path))}
    return {name: count for name, count in counts.items() if count}


def can_saturate(path: Path) -> bool:
    """Whether outputs can differ between processors with and without VNNI, for some image."""
    return bool(saturating_channels(path))


def _integer_weights(model: "onnx_ir.Model") -> Iterator[tuple[str, Any]]:
    """Names and levels, int64 [out, ...], of the weights that are multiplied as integers."""
    for node in model.graph:
        if node.op_type not in _LAYERS or len(node.inputs) < 2:
            continue
        reads, weights = (_dequantized(value) for value in node.inputs[:2])
        if reads is None or weights is None or weights.const_value is None:
            continue
        numbers = weights.const_value
        if _type(reads) in _INTEGERS and numbers.dtype.name == "INT8":
            levels = numbers.numpy().astype("int64")
            yield str(weights.name), levels if _out_comes_first(node) else levels.T


def _dequantized(value: "onnx_ir.Value | None") -> "onnx_ir.Value | None":
    """The integer input of a value's DequantizeLinear; None for other values."""
    maker = None if value is None else value.producer()
    if maker is None or maker.op_type != "DequantizeLinear":
        return None
    return maker.inputs[0]


def _type(value: "onnx_ir.Value") -> str:
    """Name of a value's dtype, from the value or its QuantizeLinear; empty if unknown."""
    if value.dtype is not None:
        return str(value.dtype.name)
    maker = value.producer()
    points = maker.inputs[2:3] if maker is not None and maker.op_type == "QuantizeLinear" else ()
    known = [point.dtype.name for point in points if point is not None and point.dtype is not None]
    return known[0] if known else ""


def _out_comes_first(node: "onnx_ir.Node") -> bool:
    attributes: Mapping[str, Any] = node.attributes
    is_transposed = "transB" in attributes and attributes["transB"].as_int() == 1
    return node.op_type == "Conv" or is_transposed


def _count(levels: Any) -> int:
    """Number of output channels of levels [out, ...] in which two of one sign can saturate."""
    rows = levels.reshape(len(levels), -1)
    if rows.shape[1] < 2:
        return 0
    ordered = numpy.sort(rows, axis=1)
    above, below = ordered[:, -2:].clip(min=0).sum(1), -ordered[:, :2].clip(max=0).sum(1)
    return int((numpy.maximum(above, below) > LARGEST_PAIR).sum())
