"""What 0.4.0 left in studies_of_0_4/, laid out as it was, and what it said, in today's words."""

import contextlib
import json
import platform
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from paredown.objectives.training.cache import Cache
from paredown.search.study.config import load_config
from safetensors.torch import load_file

HERE = Path(__file__).parent / "studies_of_0_4"
SAID: Mapping[str, Any] = json.loads((HERE / "answers.json").read_text(encoding="utf-8"))
STUDIES = ("finished", "killed", "interrupted", "own")
BASELINES = {
    "finished": "8a0a440fb3d0bd54da4152dc",
    "own": "ec124e2b9b79516ff4792b11",
}
"""The names of the baselines that 0.4.0 trained, in its cache."""
URL = "sqlite:///paredown.db"
NOW: Mapping[str, str] = {
    "times_smaller": "compression",
    "word": "certainty",
    "final": "retraining",
    "final.drop": "retraining.drop",
    "test.at_most": "test.upper_bound",
    "removed": "pruned_share",
    "at_most": "upper_bound",
    "words": "description",
    "left_alone": "skipped",
    "shared": "reused_weights",
    "hopeless": "early_stopped",
    "beaten": "dominated",
}
"""What has another name now, of keys, options and states: as 0.4.0 said it -> as it is said now."""


def renamed(data: Any) -> Any:
    """What 0.4.0 said, by the names of today."""
    if isinstance(data, dict):
        return {NOW.get(key, key): renamed(value) for key, value in data.items()}
    if isinstance(data, list):
        return [renamed(item) for item in data]
    return NOW.get(data, data) if isinstance(data, str) else data


def assert_says(now: Any, then: Any, where: str = "") -> None:
    """Whatever 0.4.0 said is still said; there may be more."""
    if isinstance(then, dict):
        for key, value in then.items():
            assert key in now, f"{where}.{key}"
            assert_says(now[key], value, f"{where}.{key}")
    elif isinstance(then, list):
        assert len(now) == len(then), where
        for place, (item, other) in enumerate(zip(now, then, strict=True)):
            assert_says(item, other, f"{where}[{place}]")
    else:
        assert now == (pytest.approx(then) if isinstance(then, float) else then), where


def unpack(folder: Path, study: str) -> None:
    """Lay a study, and all else that 0.4.0 left, in a folder, as if it had been made there."""
    with zipfile.ZipFile(HERE / "made.zip") as packed:
        packed.extractall(folder)
    shutil.copy(
        folder / f"cache/networks/{BASELINES['finished']}.safetensors",
        folder / "resnet8.safetensors",
    )
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    script = (folder / f"{study}.sql").read_text(encoding="utf-8")
    for placeholder, value in (
        ("@FOLDER@", str(folder)),
        ("@HOST@", platform.node()),
        ("@PID@", str(process.pid)),  # of a process that is gone
    ):
        script = script.replace(placeholder, value)
    with contextlib.closing(sqlite3.connect(folder / "paredown.db")) as db:
        db.executescript(script)


def keep_baseline(study: str) -> None:
    """Put the baseline that 0.4.0 trained where it is looked for now.

    Trained again, it is the same on the same machine, and another on others.
    """
    spec = load_config(f"{study}.toml", {}).task_spec
    task, _ = spec.load()
    cached = Path(f"cache/networks/{BASELINES[study]}.safetensors")
    Cache().put(task.baseline_key, load_file(cached))
