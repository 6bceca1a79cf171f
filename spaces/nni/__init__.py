"""NNI 3.0 as a second backend: its pruners choose channels, its quantizers learn scales.

NNI (https://github.com/microsoft/nni, archived in September 2024) is an extra, and takes seconds
to import: nothing here imports it before one of its techniques is chosen, and importing the folder
imports what describes them alone.
"""

from .describing import PRUNERS, QUANTIZERS, nni_info

__all__ = [
    "PRUNERS",
    "QUANTIZERS",
    "nni_info",
]
