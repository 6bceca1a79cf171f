"""Messages between a search and its evaluating process."""

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
    """Request: load a task.

    Attributes:
        spec: specification of the task.
        objects: registry -> name -> in-memory object.
        threads: number of torch's threads; None for torch's default.
        cache: folder of the cache, and its limit in bytes.
    """

    spec: TaskSpec
    objects: Mapping[str, Mapping[str, Any]]
    threads: int | None
    cache: tuple[Path, int]


@dataclass(frozen=True)
class GetBaseline:
    """Request: train or load the baseline, and score it."""


@dataclass(frozen=True)
class GetFittingError:
    """Request: the fitting error of a plan's parts."""

    plan: Plan


@dataclass(frozen=True)
class GetPiece:
    """Request: trace a family's block for a site, to predict costs."""

    family: str
    spec: Spec


@dataclass(frozen=True)
class Evaluate:
    """Request: evaluate a plan on the search split, or score it on the test split."""

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
    """Progress: a heartbeat."""


@dataclass(frozen=True)
class Reply:
    """Reply: the result of a request."""

    value: Any


@dataclass(frozen=True)
class Stopped:
    """Reply: the request was aborted, as the search had asked."""


@dataclass(frozen=True)
class Raised:
    """Reply: the request raised an exception.

    Attributes:
        error: the exception, if it is of a known class; else None.
        text: its class and message, for the user.
        details: its traceback.
    """

    error: BaseException | None
    text: str
    details: str

    @classmethod
    def of(cls, error: BaseException, known: tuple[type[BaseException], ...]) -> "Raised":
        """Wrap an exception: the object itself if its class is known, else its text."""
        name, text = type(error).__name__, " ".join(str(error).split())
        details = "".join(traceback.format_exception(error))
        whole = error.with_traceback(None) if isinstance(error, known) else None
        # Otherwise the traceback's frames would keep the failed network in memory.
        error.__cause__ = error.__context__ = None
        return cls(whole, f"{name}: {text}" if text else name, details)
