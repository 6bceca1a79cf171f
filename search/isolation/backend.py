"""What evaluates plans for a search, as the search sees it: in another process or in this one."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from ...errors import ParedownError
from ...objectives.accuracy.confidence import CorrectCounts
from ...objectives.accuracy.scoring import Metric, accuracy_step
from ...objectives.cost.cost import Cost
from ...objectives.cost.objective import predicted_cost
from ...objectives.evaluation.checkpoints import NO_EARLY_STOPPING, EarlyStopper
from ...objectives.evaluation.outcome import Outcome
from ...objectives.evaluation.task import Task
from ...objectives.training.device import hardware
from ...objectives.training.recipe import Recipes
from ...spaces.plan import Plan
from ...spaces.space import Space
from ..study.identity import identity
from ..study.splits_record import DataSplits


@dataclass(frozen=True)
class TaskSummary:
    """A task without its images and networks.

    Attributes:
        model, data: names.
        splits: how many images each has, and where those of the search come from.
        classes: how many there are.
        channels, size: of the images; size is the side in pixels.
        metric: what is meant by accuracy.
        normalisation: mean and standard deviation per channel, of images scaled to [0, 1].
        accuracy_step: the smallest difference of two accuracies on the search split, in points.
        recipes: how networks are trained.
        objectives: names of what is minimized.
        seed: of everything that is drawn.
        hardware: what evaluates its plans.
        identity: what must be the same for a study to go on.
        space: of the plans.
        in_this_process: why plans are evaluated in the searching process; empty if they are not.
    """

    model: str
    data: str
    splits: DataSplits
    classes: int
    channels: int
    size: int
    metric: Metric
    normalisation: tuple[tuple[float, ...], tuple[float, ...]]
    accuracy_step: float
    recipes: Recipes
    objectives: tuple[str, ...]
    seed: int
    hardware: str
    identity: Mapping[str, Any]
    space: Space
    in_this_process: str = ""

    @classmethod
    def of(cls, task: Task, space: Space, in_this_process: str = "") -> "TaskSummary":
        """Summarize a task and the space of its plans."""
        splits = task.splits
        return cls(
            model=task.made_by.name,
            data=splits.name,
            splits=DataSplits.of(task),
            classes=task.classes,
            channels=splits.channels,
            size=splits.size,
            metric=task.metric,
            normalisation=(splits.normalisation.mean, splits.normalisation.std),
            accuracy_step=accuracy_step(splits.search, task.metric),
            recipes=task.recipes,
            objectives=task.objectives,
            seed=task.seed,
            hardware=hardware(),
            identity=identity(task, space),
            space=space,
            in_this_process=in_this_process,
        )

    def predicted_cost(self, plan: Plan) -> Cost:
        """What a plan costs, without building it.

        Raises:
            InputError, UserCodeError: an objective of the user's own failed.
        """
        return predicted_cost(self.space.blueprint, plan, self.objectives)


@dataclass(frozen=True)
class BaselineScore:
    """The baseline, trained or loaded, and scored on the search split.

    Attributes:
        accuracy: percent.
        digest: over its weights.
        correct: how many images it gets right.
        seconds: stage -> duration.
    """

    accuracy: float
    digest: str
    correct: CorrectCounts
    seconds: Mapping[str, float]


class EvaluationFailed(ParedownError):
    """A plan could not be evaluated; a search goes on with the next one.

    Args:
        reason: in words, for the user.
        details: a traceback or a crash dump, for an issue report; may be empty.
    """

    def __init__(self, reason: str, details: str = "") -> None:
        self.details = details
        super().__init__(reason)


class EvaluatorDied(EvaluationFailed):
    """What evaluates plans ended, or stopped answering, in the middle of its work."""


class CannotRestart(ParedownError):
    """What evaluates plans died, and cannot be started again: the search cannot go on."""


class TimeLimitReached(Exception):
    """The time limit was reached while a plan was being evaluated."""


class EvaluationBackend(ABC):
    """Evaluates plans of one task. Close it when it is no longer wanted.

    Attributes:
        deadline: when to give up what is under way, by `time.monotonic`; None for never.
    """

    deadline: float | None = None

    @abstractmethod
    def open(self) -> TaskSummary:
        """Load the task. Must be called first.

        Raises:
            InputError: the model, data or weights cannot be used.
            EvaluatorDied: loading them ended the process.
            TimeLimitReached: as all methods below.
        """

    @abstractmethod
    def baseline(self) -> BaselineScore:
        """Train or load the baseline, and score it on the search split.

        Raises:
            TrainingDiverged: its training failed.
            InputError: it cannot be built or filled.
            EvaluatorDied: this ended the process.
        """

    @abstractmethod
    def fitting_error(self, plan: Plan) -> float:
        """What the plan's replaced parts miss of the baseline's features:
        `TrainingPipeline.fitting_error`.

        Raises:
            EvaluationFailed: they could not be fitted.
        """

    @abstractmethod
    def evaluate(
        self, plan: Plan, early_stopper: EarlyStopper = NO_EARLY_STOPPING, seed: int | None = None
    ) -> Outcome:
        """Build, train and score a plan on the search split.

        Args:
            plan: of the space.
            early_stopper: may stop it early. It is copied: what it learns meanwhile does not count.
            seed: of what the plan draws; the task's, if not given.

        Raises:
            Hopeless: the early stopper stopped it.
            TrainingDiverged, PredictionMismatch: it was evaluated, and failed.
            EvaluationFailed: anything else went wrong, a crash included.
        """

    @abstractmethod
    def test(self, plan: Plan, seed: int | None = None) -> Outcome:
        """Score a plan on the test split, which is for winners alone.

        Raises:
            EvaluationFailed, TrainingDiverged: it could not be scored.
        """

    def predicting(self) -> AbstractContextManager[None]:
        """Inside, costs are predicted with what this backend finds out about blocks."""
        return nullcontext()

    @abstractmethod
    def close(self) -> None:
        """End what evaluates; nothing else may be asked after it."""

    def seconds_left(self) -> float | None:
        """How long until the deadline; None if there is none."""
        return None if self.deadline is None else self.deadline - time.monotonic()
