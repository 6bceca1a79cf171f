"""How long the stages of an evaluation take."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from .progress import SILENT, Progress


class Clock:
    """Adds up the seconds of each stage; a stage within a stage is taken off the outer one.

    Args:
        progress: is told when a stage begins.
    """

    def __init__(self, progress: Progress = SILENT) -> None:
        self.progress = progress
        self._seconds = dict[str, float]()
        self._within = [0.0]  # per stage under way: what the stages within it took so far

    @property
    def seconds(self) -> dict[str, float]:
        """Stage -> seconds since the clock was reset."""
        return dict(self._seconds)

    def reset(self) -> None:
        """Begin again at nothing."""
        self._seconds = {}

    @contextmanager
    def stage(self, name: str, epochs: int = 0) -> Iterator[None]:
        """Count the time inside under a stage."""
        self.progress.stage(name, epochs)
        start = time.perf_counter()
        self._within.append(0.0)
        try:
            yield
        finally:
            took = time.perf_counter() - start
            self._seconds[name] = self._seconds.get(name, 0.0) + took - self._within.pop()
            self._within[-1] += took
