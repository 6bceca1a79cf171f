"""Quantizers, one per file: calibration alone, or training at the bit-widths. A new quantizer is a
new file that is registered here."""

from ...registry import Registry
from ..nni import QUANTIZERS as NNI_QUANTIZERS
from .calibration import Calibration
from .fake_quantized import FakeQuantized
from .nni_quantizer import NniQuantizer
from .quantizer import Quantizer

QUANTIZERS: Registry[Quantizer] = Registry("quantizer", see="paredown techniques")
for _quantizer in (Calibration(), FakeQuantized()):
    QUANTIZERS.register(_quantizer)
for _name in NNI_QUANTIZERS:
    QUANTIZERS.register(NniQuantizer(_name))

__all__ = ["QUANTIZERS", "Quantizer"]
