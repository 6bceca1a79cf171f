"""A tiny study and the ways to run it: in this process, and as the real command."""

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from paredown.objectives.training import block_library
from paredown.objectives.training.block_fitting import FitSchedule
from paredown.search import cli
from paredown.search.isolation import starting
from paredown.search.isolation.in_process import InProcessBackend

TINY = """
title = "small enough for a test"
model = "resnet8"
data = "digits"
max_drop = [1, 30]
trials = 4
finalists = 0
sampler = "{sampler}"
seed = 3

[space]
width = [1.0, 0.5]
block = ["original", "separable"]
prune = [0.0, 0.5]
bits = ["w32a32", "w8a8"]

[baseline]
epochs = 4
max_lr = 0.1

[train]
epochs = 1
max_lr = 0.05

[fine_tune]
epochs = 1
max_lr = 0.02
"""


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


def fit_quickly(patch: pytest.MonkeyPatch) -> None:
    """Parts are fitted for two steps: how searches go is tested here, not how well parts fit."""
    for effort in ("FIT_ISOLATED", "FIT_IN_NETWORK"):
        patch.setattr(block_library, effort, FitSchedule(steps=2, batch=32, rate=1e-2))


def evaluate_here(patch: pytest.MonkeyPatch) -> None:
    """Plans are evaluated in the test's process: that spares its seconds of imports, and lets tests
    change what evaluates them. test_isolation.py and test_processes.py have the real thing."""
    patch.setattr(starting, "ProcessBackend", InProcessBackend)


@pytest.fixture(autouse=True)
def _quick_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    fit_quickly(monkeypatch)
    evaluate_here(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with the tiny study in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "tiny.toml").write_text(TINY.format(sampler="random"))
    return tmp_path


def exit_code(patch: pytest.MonkeyPatch, *words: str) -> int:
    """Run the command in this process, which spares its seconds of imports."""
    patch.setattr(sys, "argv", ["paredown", *words])
    before = signal.getsignal(signal.SIGTERM)
    try:
        cli.main()
        code: int | str | None = 0
    except SystemExit as stop:
        code = stop.code
    finally:
        signal.signal(signal.SIGTERM, before)
    return int(code or 0)


def run_all(folder: Path, *commands: str) -> None:
    """Run commands in a folder, one after the other; each has to succeed."""
    with pytest.MonkeyPatch.context() as patch:
        fit_quickly(patch)
        evaluate_here(patch)
        patch.chdir(folder)
        for command in commands:
            assert exit_code(patch, *command.split()) == 0, command


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command, and keep what it says."""

    def call(*arguments: str) -> Ran:
        code = exit_code(monkeypatch, *arguments)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return call
