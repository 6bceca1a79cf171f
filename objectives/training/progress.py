"""Hooks by which long work says how far it is, and seconds by name, none of them counted twice."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Progress:
    """Does nothing; override what you want to see. All times are seconds."""

    def stage(self, name: str, epochs: int = 0) -> None:
        """A stage begins, perhaps within another.

        They are "baseline", "assemble", "train", "prune", "fine-tune", "quantize" and "score".
        """

    def epoch(self, done: int, loss: float) -> None:
        """An epoch of the current stage has ended, with this mean training loss."""


SILENT = Progress()


class Timings:
    """Adds up seconds under names; what is inside of something else is taken off it.

    Args:
        now: what time it is, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.now = now
        self._seconds = dict[str, float]()
        self._inside = [0.0]  # per name under way: what the names inside it took so far

    @property
    def seconds(self) -> dict[str, float]:
        """Name -> seconds, in the order in which they came first."""
        return dict(self._seconds)

    def reset(self) -> None:
        """Begin again at nothing."""
        self._seconds = {}

    @contextmanager
    def on(self, name: str) -> Iterator[None]:
        """Count the time inside under a name."""
        began = self.now()
        self._inside.append(0.0)
        try:
            yield
        finally:
            took = self.now() - began
            self._add(name, took - self._inside.pop())
            self._inside[-1] += took

    def move(self, name: str, seconds: float) -> None:
        """Count seconds that have passed under another name than the one that is under way."""
        self._add(name, seconds)
        self._inside[-1] += seconds

    def _add(self, name: str, seconds: float) -> None:
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds


class StageTimer(Timings):
    """How long the stages of an evaluation take.

    Args:
        progress: is told when a stage begins.
    """

    def __init__(self, progress: Progress = SILENT) -> None:
        super().__init__()
        self.progress = progress

    @contextmanager
    def stage(self, name: str, epochs: int = 0) -> Iterator[None]:
        """Count the time inside under a stage."""
        self.progress.stage(name, epochs)
        with self.on(name):
            yield
