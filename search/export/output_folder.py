"""Atomic creation of an exported folder."""

import glob
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import InputError, ParedownError
from .manifest import MANIFEST, read_manifest

_PART = ".part"
_OLD_SECONDS = 24 * 3600


def check_place(output: Path, plan_key: str, study: str, force: bool) -> None:
    """Validate an output folder before the export starts.

    Raises:
        InputError: the path is taken by something else, or by another model without `force`.
    """
    if not output.exists():
        return
    if not output.is_dir():
        raise InputError(f"{output} is a file; choose another --output")
    if not any(output.iterdir()):
        return
    if not (output / MANIFEST).is_file():
        raise InputError(
            f"{output} is not empty and not an exported model; choose another --output"
        )
    if force:
        return
    there = read_manifest(output)
    if (there.data.get("study"), there.plan.key) != (study, plan_key):
        raise InputError(
            f"{output} holds another model, of study {there.data.get('study')!r} with plan "
            f"{there.plan.key}; overwrite it with --force, or choose another --output"
        )


@contextmanager
def appearing(output: Path) -> Iterator[Path]:
    """A temporary folder to fill, which is renamed to the output at the end.

    Raises:
        InputError: the folder cannot be written; nothing is left of it.
    """
    output = output.absolute()
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        _forget_killed(output)
        with tempfile.TemporaryDirectory(
            dir=output.parent, prefix=f".{output.name}.", suffix=_PART
        ) as name:
            part, old = Path(name) / "new", Path(name) / "old"
            part.mkdir()
            yield part
            if output.exists():
                output.rename(old)
            try:
                part.rename(output)
            except OSError:
                if old.exists():
                    old.rename(output)
                raise
            shutil.rmtree(old, ignore_errors=True)
    except ParedownError:
        raise
    except OSError as error:
        raise InputError(f"{output} cannot be written: {error.strerror or error}") from None


def _forget_killed(output: Path) -> None:
    """Remove temporary folders of killed exports to the same output, if they are a day old."""
    for part in output.parent.glob(f".{glob.escape(output.name)}.*{_PART}"):
        if time.time() - part.stat().st_mtime > _OLD_SECONDS:
            shutil.rmtree(part, ignore_errors=True)
