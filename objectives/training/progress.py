"""Progress hooks of long work, and timings by name without double counting."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Progress:
    """Base class of progress hooks, which do nothing.

    :meth:`stage` is called at the start of each stage, then :meth:`epoch` after each of its epochs.
    """

    def stage(self, name: str, epochs: int = 0) -> None:
        """Called when a stage starts, possibly inside another.

        Stages are "baseline", "assemble", "train", "prune", "fine-tune", "quantize" and "score".
        """

    def epoch(self, done: int, loss: float) -> None:
        """Called after an epoch of the current stage, with the mean training loss."""


SILENT = Progress()


class Timings:
    """Sums of seconds by name; the time of nested names is not counted for the outer name.

    Args:
        now: the clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.now = now
        self._seconds = dict[str, float]()
        self._inside = [0.0]  # per active name: total time of the names inside it

    @property
    def seconds(self) -> dict[str, float]:
        """Name -> seconds, in order of first use."""
        return dict(self._seconds)

    def reset(self) -> None:
        """Reset all timings to zero."""
        self._seconds = {}

    @contextmanager
    def on(self, name: str) -> Iterator[None]:
        """Count the time inside for a name."""
        began = self.now()
        self._inside.append(0.0)
        try:
            yield
        finally:
            took = self.now() - began
            self._add(name, took - self._inside.pop())
            self._inside[-1] += took

    def move(self, name: str, seconds: float) -> None:
        """Count past seconds for another name than the active one."""
        self._add(name, seconds)
        self._inside[-1] += seconds

    def _add(self, name: str, seconds: float) -> None:
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds


class StageTimer(Timings):
    """The timings of the stages of an evaluation.

    Args:
        progress: notified when a stage starts.
    """

    def __init__(self, progress: Progress = SILENT) -> None:
        super().__init__()
        self.progress = progress

    @contextmanager
    def stage(self, name: str, epochs: int = 0) -> Iterator[None]:
        """Count the time inside for a stage."""
        self.progress.stage(name, epochs)
        with self.on(name):
            yield
