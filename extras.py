"""Optional dependencies, imported only where they are needed."""

import importlib.util

from .errors import InputError

PACKAGES = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "nni": ("nni",),
    "executorch": ("executorch",),
    "timm": ("timm",),
}
"""Extra -> the import names of its packages."""


def missing_packages(extra: str) -> list[str]:
    """The packages of an extra that are not installed."""
    return [package for package in PACKAGES[extra] if importlib.util.find_spec(package) is None]


def require_extra(extra: str, subject: str) -> None:
    """Validate that an extra is installed.

    Args:
        extra: a name in `PACKAGES`.
        subject: the feature that needs the extra, for the message.

    Raises:
        InputError: a package is missing; the message has the command to install it.
    """
    missing = missing_packages(extra)
    if missing:
        is_missing = "which is" if len(missing) == 1 else "which are"
        raise InputError(
            f"{subject} needs {' and '.join(missing)}, {is_missing} not installed; run "
            f"pip install 'paredown[{extra}]'"
        )
