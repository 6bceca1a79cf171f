"""What goes over the pipe between a search and its evaluating process."""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...objectives.evaluation.checkpoints import NO_EARLY_STOPPING, EarlyStopper
from ...objectives.evaluation.task_spec import TaskSpec
from ...spaces.graph.sites import Spec
from ...spaces.plan import Plan


@dataclass(frozen=True)
class Open:
    """Load a task.

    Attributes:
        spec: what to load.
        objects: registry -> name -> an object that was given in Python.
        threads: that torch computes with; None for as many as it likes.
        cache: the folder of trained networks, and the bytes that it may take.
    """

    spec: TaskSpec
    objects: Mapping[str, Mapping[str, Any]]
    threads: int | None
    cache: tuple[Path, int]


@dataclass(frozen=True)
class GetBaseline:
    """Train or load the baseline, and score it."""


@dataclass(frozen=True)
class GetFittingError:
    """Fit a plan's parts."""

    plan: Plan


@dataclass(frozen=True)
class GetPiece:
    """Take a block of a family apart, for costs to be predicted from."""

    family: str
    spec: Spec


@dataclass(frozen=True)
class Evaluate:
    """Evaluate a plan on the search split, or score it on the test split."""

    plan: Plan
    seed: int | None = None
    early_stopper: EarlyStopper = field(default=NO_EARLY_STOPPING)
    on_test: bool = False


@dataclass(frozen=True)
class StageBegan:
    """Progress: a stage begins."""

    name: str
    epochs: int


@dataclass(frozen=True)
class EpochEnded:
    """Progress: an epoch of the stage has ended, with this mean loss."""

    done: int
    loss: float


@dataclass(frozen=True)
class Alive:
    """Progress: steps are being made."""


@dataclass(frozen=True)
class Reply:
    """A request was fulfilled."""

    value: Any


@dataclass(frozen=True)
class Stopped:
    """The work under way was ended at a step, as the search wanted."""


@dataclass(frozen=True)
class Raised:
    """A request ended in an exception.

    Attributes:
        error: the exception, if it can be sent; else None.
        text: what it says, for the user.
        details: its traceback.
    """

    error: BaseException | None
    text: str
    details: str

    @classmethod
    def of(cls, error: BaseException, known: tuple[type[BaseException], ...]) -> "Raised":
        """An exception to be sent: whole, if it is of a known class, else in words."""
        name, text = type(error).__name__, " ".join(str(error).split())
        details = "".join(traceback.format_exception(error))
        whole = error.with_traceback(None) if isinstance(error, known) else None
        # Else the frames of a network that was given up hold its memory while the next one trains.
        error.__cause__ = error.__context__ = None
        return cls(whole, f"{name}: {text}" if text else name, details)
