"""ONNX files with each weight in its own bit-width: writing, running and scoring them.
`search.export` checks and describes them."""

from .running import OnnxModel, score_file
from .saturation import can_saturate, saturating_channels
from .writing import initializer_bytes, write_onnx

__all__ = [
    "OnnxModel",
    "can_saturate",
    "initializer_bytes",
    "saturating_channels",
    "score_file",
    "write_onnx",
]
