"""The interface of evaluation backends: in a separate process or in this one."""

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
        model, data: names of the model and the data set.
        splits: sizes and origin of the splits.
        classes: number of classes.
        channels, size: channels and side of the images, in pixels.
        metric: the accuracy metric.
        normalisation: mean and standard deviation per channel, of images scaled to [0, 1].
        accuracy_step: the smallest difference of two accuracies on the search split, in percentage
            points.
        recipes: training recipes.
        objectives: names of the minimized objectives.
        seed: random seed.
        hardware: the device that evaluates plans.
        identity: the study's identity, which must match for a study to be resumed.
        space: the search space.
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
        """Summarize a task and its search space."""
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
        """The predicted cost of a plan.

        Raises:
            InputError, UserCodeError: a user's own objective failed.
        """
        return predicted_cost(self.space.blueprint, plan, self.objectives)


@dataclass(frozen=True)
class BaselineScore:
    """The baseline's score on the search split.

    Attributes:
        accuracy: in percent.
        digest: digest of the weights.
        correct: numbers of correct predictions.
        seconds: stage -> duration.
    """

    accuracy: float
    digest: str
    correct: CorrectCounts
    seconds: Mapping[str, float]


class EvaluationFailed(ParedownError):
    """A plan could not be evaluated; the search continues with the next plan.

    Args:
        reason: description for the user.
        details: traceback or crash dump for an issue report; may be empty.
    """

    def __init__(self, reason: str, details: str = "") -> None:
        self.details = details
        super().__init__(reason)


class EvaluatorDied(EvaluationFailed):
    """The evaluating process died or made no progress during an evaluation."""


class CannotRestart(ParedownError):
    """The evaluating process died and cannot be restarted: the search has to end."""


class TimeLimitReached(Exception):
    """The time limit was reached during an evaluation."""


class EvaluationBackend(ABC):
    """Evaluates the plans of one task.

    Order of the calls: `open` once, then `baseline` once per run, then `fitting_error`, `evaluate`
    and `test` in any order, one call at a time; `close` last, in any case. `deadline` may be set
    before every call.

    Attributes:
        deadline: when a call raises `TimeLimitReached`, by `time.monotonic`; None for no limit.
    """

    deadline: float | None = None

    @abstractmethod
    def open(self) -> TaskSummary:
        """Load the task. Called first.

        Raises:
            InputError: the model, data or weights cannot be used.
            EvaluatorDied: the process died while loading.
            TimeLimitReached: the deadline was reached; raised by all methods below too.
        """

    @abstractmethod
    def baseline(self) -> BaselineScore:
        """Train or load the baseline, and score it on the search split. Called before any plan.

        Raises:
            TrainingDiverged: its training diverged.
            InputError: the network cannot be built, or the weights do not fit.
            EvaluatorDied: the process died.
        """

    @abstractmethod
    def fitting_error(self, plan: Plan) -> float:
        """Deviation of a plan's fitted parts from the baseline's features:
        `TrainingPipeline.fitting_error`. Called for the initial plans.

        Raises:
            EvaluationFailed: the parts could not be fitted.
        """

    @abstractmethod
    def evaluate(
        self, plan: Plan, early_stopper: EarlyStopper = NO_EARLY_STOPPING, seed: int | None = None
    ) -> Outcome:
        """Build, train and score a plan on the search split. Called for every trial that is not
        settled without training, and for every finalist.

        Args:
            plan: a plan of the search space.
            early_stopper: decides at checkpoints whether to stop. It may be copied when the call
                begins: later changes have no effect.
            seed: random seed of the evaluation; by default the task's.

        Raises:
            EarlyStopped: the early stopper stopped the plan.
            TrainingDiverged, PredictionMismatch: the evaluation ran, and failed.
            EvaluationFailed: any other failure, including a crash.
        """

    @abstractmethod
    def test(self, plan: Plan, seed: int | None = None) -> Outcome:
        """Score a plan on the test split. Called for winners only, at the end of the search.

        Raises:
            EvaluationFailed, TrainingDiverged: the plan could not be scored.
        """

    def predicting(self) -> AbstractContextManager[None]:
        """Context in which costs are predicted; entered after `open`, left before `close`."""
        return nullcontext()

    @abstractmethod
    def close(self) -> None:
        """Release the evaluating process or task. Called last."""

    def seconds_left(self) -> float | None:
        """Seconds until the deadline; None without one."""
        return None if self.deadline is None else self.deadline - time.monotonic()
