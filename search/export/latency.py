"""Latency of a file at batch 1: on this machine, or by a user's command on another device."""

import math
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import torch

from ...errors import InputError

Runs = Callable[[torch.Tensor], torch.Tensor]
"""Normalised float32 images, [batch, channels, height, width] -> scores, [batch, classes]."""

_WARM, _ROUNDS = 10, 60
_FILE = "{file}"
_PATIENCE_SECONDS = 600


def latencies(
    several: Sequence[Callable[[torch.Tensor], torch.Tensor]], image: torch.Tensor
) -> list[float]:
    """Median milliseconds for one image, [1, channels, height, width], measured alternately."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    took: list[list[float]] = [[] for _ in several]
    try:
        for turn in range(_WARM + _ROUNDS):
            for runs, noted in zip(several, took, strict=True):
                begun = time.perf_counter()
                runs(image)
                if turn >= _WARM:
                    noted.append(1000 * (time.perf_counter() - begun))
    finally:
        torch.set_num_threads(threads)
    return [median(noted) for noted in took]


def check_latency_command(command: str) -> None:
    """Validate a latency command.

    Raises:
        InputError: the command has no {file}, or cannot be split into words.
    """
    if _FILE not in command:
        raise InputError(f"expected a --latency-command with {_FILE} in it, got {command!r}")
    _words(command)


def external_latency(command: str, file: Path) -> float:
    """Run a user's latency command for a file; its last word is the latency in milliseconds.

    The command is run without a shell; `{file}` is replaced by the file's path.

    Raises:
        InputError: the command cannot be run, fails, takes too long or does not print a number.
    """
    words = [word.replace(_FILE, str(file)) for word in _words(command)]
    try:
        ran = subprocess.run(
            words, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"the latency command cannot be run: {error}") from None
    if ran.returncode:
        parts = ran.stderr.strip().splitlines()[-1:] or ["no output on stderr"]
        raise InputError(f"the latency command ended with code {ran.returncode}: {parts[0]}")
    last = (ran.stdout.split() or [""])[-1]
    try:
        milliseconds = float(last)
    except ValueError:
        milliseconds = math.nan
    if not (math.isfinite(milliseconds) and milliseconds > 0):
        raise InputError(
            f"expected the latency command to print milliseconds as its last word, got {last!r}"
        )
    return milliseconds


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise InputError(f"the latency command {command!r} cannot be read: {error}") from None
