"""The report's file: atomic writing, and JSON that is safe inside HTML."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ...errors import InputError

MARK = "Paredown report"
"""The generator in a report's head, by which reports are recognized."""

_ENOUGH = 2000
"""Characters at the beginning of a file in which the mark is searched."""


def check_place(path: Path, *, force: bool) -> None:
    """Validate the output path of a report.

    Raises:
        InputError: the path is a folder, its folder is missing, or an existing file is not a
            report.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the name of a file, as in -o report.html")
    if not path.absolute().parent.is_dir():
        raise InputError(f"the report cannot be written to {path}: no such folder {path.parent}")
    if path.exists() and not force and not _is_report(path):
        raise InputError(
            f"{path} exists and is not a report of Paredown; choose another file with -o, or "
            "overwrite it with --force"
        )


def write_page(path: Path, page: str) -> None:
    """Write a page atomically.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}-")
    except OSError as error:
        raise InputError(f"the report cannot be written to {path}: {error.strerror}") from None
    written = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(page)
        written.chmod(0o666 & ~_umask())
        written.replace(path)
    except OSError as error:
        raise InputError(f"the report cannot be written to {path}: {error.strerror}") from None
    finally:
        written.unlink(missing_ok=True)


def _umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


def _is_report(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as file:
            return f'content="{MARK}' in file.read(_ENOUGH)
    except (OSError, UnicodeDecodeError):
        return False


_HARMLESS = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028"}


def as_json(data: Mapping[str, Any]) -> Markup:
    """Data as JSON for a script element."""
    return harmless(json.dumps(data))


def harmless(text: str) -> Markup:
    """Replace the characters of markup in JSON by equivalent JSON escapes."""
    for character, escaped in _HARMLESS.items():
        text = text.replace(character, escaped)
    return Markup(text)
