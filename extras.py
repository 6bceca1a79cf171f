"""Optional parts, which are imported only when they are needed."""

import importlib.util

from .errors import InputError

PACKAGES = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "nni": ("nni",),
    "executorch": ("executorch",),
    "timm": ("timm",),
}
"""Extra -> the packages that it brings, as they are imported."""


def missing_packages(extra: str) -> list[str]:
    """The packages of an extra that are not installed."""
    return [package for package in PACKAGES[extra] if importlib.util.find_spec(package) is None]


def require_extra(extra: str, subject: str) -> None:
    """See that an extra is installed.

    Args:
        extra: a name in `PACKAGES`.
        subject: needs it, for the message.

    Raises:
        InputError: it is not; the message says how to install it.
    """
    missing = missing_packages(extra)
    if missing:
        raise InputError(
            f"{subject} needs {' and '.join(missing)}, which is not installed: "
            f"pip install 'paredown[{extra}]' brings it"
        )
