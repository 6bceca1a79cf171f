"""NNI 3.0 as a second backend: pruners that select channels, quantizers that learn scales.

NNI (https://github.com/microsoft/nni, archived in September 2024) is an extra and takes seconds to
import, so it is imported only when one of its options is used. Importing the folder imports only
the descriptions.
"""

from .describing import PRUNERS, QUANTIZERS, nni_info

__all__ = [
    "PRUNERS",
    "QUANTIZERS",
    "nni_info",
]
