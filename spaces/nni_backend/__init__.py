"""NNI 3.0 as a second backend: its pruners choose channels, its quantizers learn scales.

NNI (https://github.com/microsoft/nni, archived in September 2024) is an extra, and takes seconds
to import: nothing here imports it before one of its techniques is chosen.
"""

from .describing import nni_technique
from .pruning import PRUNERS, prune
from .quantizing import QUANTIZERS, LearnedScales, learned_quantization

__all__ = [
    "PRUNERS",
    "QUANTIZERS",
    "LearnedScales",
    "learned_quantization",
    "nni_technique",
    "prune",
]
