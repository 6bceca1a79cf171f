"""Runs each self-check in a separate process, so that a crash is a finding."""

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from ..isolation.child_process import cause_of, python_command
from .self_checks import CHECKS, SKIPPED, Check

_PATIENCE = 300
"""Timeout of a check, in seconds."""


@dataclass(frozen=True)
class Finding:
    """The result of a check.

    Attributes:
        check: the check.
        faults: the problems found, one sentence each.
        seconds: duration.
        skipped: why the check was not run; empty if it was.
    """

    check: Check
    faults: tuple[str, ...]
    seconds: float
    skipped: str = ""


def examine(url: str) -> Iterator[Finding]:
    """Run all checks in order.

    Args:
        url: URL of the storage.
    """
    for check in CHECKS:
        began = time.perf_counter()
        faults = _faults(check, url)
        seconds = time.perf_counter() - began
        if faults and faults[0].startswith(SKIPPED):
            yield Finding(check, (), seconds, faults[0].removeprefix(SKIPPED))
        else:
            yield Finding(check, tuple(faults), seconds)


def _faults(check: Check, url: str) -> list[str]:
    try:
        ran = subprocess.run(
            python_command("search.doctor.self_checks", check.name, url),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return [f"the check did not end within {_PATIENCE} s"]
    parts = ran.stderr.decode(errors="replace").strip().splitlines()
    if ran.returncode:
        last = f": {parts[-1]}" if parts else ""
        return [f"its process {cause_of(ran.returncode)}{last}"]
    faults: list[str] = json.loads(ran.stdout)
    return faults
