"""Evaluation of plans: cost and accuracy of their networks."""

from torch import nn

from ...spaces.plan import Plan
from ...spaces.space import Space
from ..accuracy.budget import drop_between
from ..accuracy.confidence import PairedDrop
from ..accuracy.scoring import Score, score
from ..cost.cost import Cost, check_prediction, measure
from ..cost.objective import predicted_cost
from ..data import ImageSet
from ..training.cache import Cache, tensors_digest
from ..training.progress import SILENT, Progress, StageTimer
from .checkpoints import NO_EARLY_STOPPING, Checkpoint, EarlyStopped, EarlyStopper
from .outcome import Outcome
from .pipeline import TrainingPipeline
from .task import Task


class Evaluator:
    """Evaluates the plans of a search space for a task.

    Args:
        task: the model, images and recipes.
        space: the search space.
        cache: the cache of trained networks.
        progress: notified of stages and epochs.
        early_stopper: may stop plans during training; can be replaced at any time.
        seed: the seed of building and training plans; by default the task's. The baseline always
            has the task's seed.
    """

    def __init__(
        self,
        task: Task,
        space: Space,
        cache: Cache,
        progress: Progress = SILENT,
        early_stopper: EarlyStopper = NO_EARLY_STOPPING,
        seed: int | None = None,
    ) -> None:
        self.task, self.space, self.cache, self.early_stopper = task, space, cache, early_stopper
        self.seed = task.seed if seed is None else seed
        self.timer = StageTimer(progress)
        self._builder = TrainingPipeline(task, space, cache, self.timer, self._look, self.seed)
        self._checkpoints = list[Checkpoint]()
        self._current_plan = Plan()
        self._baseline_scores = dict[str, Score]()

    def reseeded(self, seed: int) -> "Evaluator":
        """Return an evaluator with another seed that shares the baseline and its scores.

        Args:
            seed: the seed of building and training plans.
        """
        other = Evaluator(self.task, self.space, self.cache, self.timer.progress, seed=seed)
        other._builder.baseline = self.baseline
        other._baseline_scores = self._baseline_scores
        return other

    def predicted_cost(self, plan: Plan) -> Cost:
        """Predict the cost of a plan, without building its network.

        Raises:
            InputError, UserCodeError: the user's objective failed.
        """
        return predicted_cost(self.space.blueprint, plan, self.task.objectives)

    @property
    def baseline(self) -> nn.Module:
        """The baseline network, trained or loaded; it is never changed.

        Raises:
            ModelError, WeightsError: the network cannot be built or run, or weights do not match.
            TrainingDiverged: the training failed.
        """
        return self._builder.baseline

    @property
    def baseline_score(self) -> Score:
        """The baseline's score on the search split."""
        return self._baseline_score("search")

    @property
    def baseline_digest(self) -> str:
        """A digest of the baseline's weights: 12 hexadecimal digits."""
        return tensors_digest(self.baseline.state_dict())[:12]

    def evaluate(self, plan: Plan) -> Outcome:
        """Build and train a plan's network, and evaluate it on the search split.

        Raises:
            PlanError: the plan is not in the space.
            TrainingDiverged: the training failed.
            PredictionMismatch: the predicted and the measured cost differ.
            EarlyStopped: the early stopper stopped the plan.
        """
        self.space.check(plan)
        try:
            return self._outcome(plan, "search")
        except EarlyStopped as stopped:
            stopped.seconds = self.timer.seconds
            raise

    def test(self, plan: Plan) -> Outcome:
        """Evaluate a plan on the test split, which is reserved for winners; never stops early."""
        self.space.check(plan)
        early_stopper, self.early_stopper = (
            self.early_stopper,
            NO_EARLY_STOPPING,
        )  # winners are not stopped
        try:
            return self._outcome(plan, "test")
        finally:
            self.early_stopper = early_stopper

    def network(self, plan: Plan) -> nn.Module:
        """Return the plan's network, trained, pruned and quantized."""
        self.space.check(plan)
        return self._builder.network(plan)

    def assembled(self, plan: Plan) -> nn.Module:
        """Return the plan's network with fitted parts from the library, before training."""
        self.space.check(plan)
        return self._builder.assembled(plan)

    def fitting_error(self, plan: Plan) -> float:
        """Compute the error of the plan's fitted parts: see `TrainingPipeline.fitting_error`.

        The plan need not be in the space, but the network must have its places.
        """
        return self._builder.fitting_error(plan)

    def _baseline_score(self, split: str) -> Score:
        if split not in self._baseline_scores:
            images: ImageSet = getattr(self.task.splits, split)
            self._baseline_scores[split] = self._score(self.baseline, images)
        return self._baseline_scores[split]

    def _outcome(self, plan: Plan, split: str) -> Outcome:
        baseline = self._baseline_score(split)
        self.timer.reset()
        self._checkpoints, self._current_plan = [], plan
        network = self._builder.network(plan)
        measured = measure(network, self._builder.images(self._builder.device))
        predicted = self.predicted_cost(plan)
        check_prediction(predicted, measured, f"plan {plan.key}")
        # The empty plan is the baseline, which has been evaluated.
        score = self._score(network, getattr(self.task.splits, split)) if plan.choices else baseline
        return Outcome(
            plan,
            predicted,
            score.accuracy,
            drop_between(baseline.accuracy, score.accuracy),
            self.timer.seconds,
            tuple(self._checkpoints),
            PairedDrop.between(baseline, score),
        )

    def _look(self, network: nn.Module, stage: str, epoch: int, epochs: int) -> None:
        """Evaluate a checkpoint of the current plan, if the early stopper wants to check it.

        Raises:
            EarlyStopped: the early stopper stops the plan.
        """
        if not self.early_stopper.should_check(stage, epoch, epochs):
            return
        accuracy = self._score(network, self.task.splits.search).accuracy
        checkpoint = Checkpoint(stage, epoch, drop_between(self.baseline_score.accuracy, accuracy))
        self._checkpoints.append(checkpoint)
        if self.early_stopper.should_stop(self._current_plan, checkpoint):
            raise EarlyStopped(checkpoint)

    def _score(self, network: nn.Module, images: ImageSet) -> Score:
        with self.timer.stage("score"):
            normalisation = self.task.splits.normalisation
            return score(network, images, normalisation, metric=self.task.metric)
