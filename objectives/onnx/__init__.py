"""Networks as ONNX files that hold each weight in its own width, and such files run and scored."""

from .running import OnnxModel, score_file
from .writing import initializer_bytes, write_onnx

__all__ = ["OnnxModel", "initializer_bytes", "score_file", "write_onnx"]
