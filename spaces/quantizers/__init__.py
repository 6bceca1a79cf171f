"""Quantizers: how a network comes to its bit-widths. One file each."""

from ..registry import Registry
from .calibration import Calibration
from .fake_quantized import FakeQuantized
from .quantizer import Quantizer

QUANTIZERS: Registry[Quantizer] = Registry("quantizer", see="paredown techniques")
for _quantizer in (Calibration(), FakeQuantized()):
    QUANTIZERS.register(_quantizer)

__all__ = ["QUANTIZERS", "Quantizer"]
