"""Networks as ONNX files that hold each weight in its own width, and such files run and scored.
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
