"""Shared by the benchmarks: the environment that they run in, and their result files."""

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from paredown.objectives.evaluation.task import versions
from paredown.objectives.training.device import hardware

RESULTS = Path(__file__).parent / "results"

_CPUINFO = Path("/proc/cpuinfo")
_PACKAGES = ("torchvision", "torch-pruning", "fvcore", "scikit-learn")


def environment(*packages: str) -> dict[str, object]:
    """Describe the hardware and versions that a figure may depend on.

    Args:
        packages: further packages whose versions to record.
    """
    return {
        "hardware": hardware(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "versions": versions() | {name: version(name) for name in (*_PACKAGES, *packages)},
    }


def write_result(name: str, result: Mapping[str, object]) -> Path:
    """Write a result as JSON into results/."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    text = json.dumps(_finite(result), indent=1, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def _finite(value: Any) -> Any:
    """Replace numbers that are not finite, which JSON lacks, by null."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_result(name: str) -> dict[str, Any]:
    """Read an earlier result; empty if there is none."""
    path = RESULTS / f"{name}.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format rows as a Markdown table, the first column left-aligned, the others right-aligned."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(head), line(rule), *map(line, rows)])


def _processor() -> str:
    """The processor's name: from /proc/cpuinfo on Linux, else from `platform`."""
    if not _CPUINFO.exists():
        return platform.processor()
    names = (line for line in _CPUINFO.read_text().splitlines() if line.startswith("model name"))
    return next(names, ":").partition(":")[2].strip()
