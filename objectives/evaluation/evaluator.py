"""Evaluates plans: what they cost, and how well their networks do."""

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
    """Turns plans into outcomes for one task and one space.

    Args:
        task: the model, images and recipes.
        space: whose plans are evaluated.
        cache: where trained networks are kept.
        progress: is told of stages and epochs.
        early_stopper: may stop plans on their way; it can be replaced at any time.
        seed: of what plans draw while they are built and trained; the task's, if not given. The
            baseline keeps the task's.
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
        """An evaluator whose plans draw from another seed; it shares the baseline and its scores.

        Args:
            seed: of what plans draw while they are built and trained.
        """
        other = Evaluator(self.task, self.space, self.cache, self.timer.progress, seed=seed)
        other._builder.baseline = self.baseline
        other._baseline_scores = self._baseline_scores
        return other

    def predicted_cost(self, plan: Plan) -> Cost:
        """What a plan costs, without building it.

        Raises:
            InputError, UserCodeError: an objective of the user's own failed.
        """
        return predicted_cost(self.space.blueprint, plan, self.task.objectives)

    @property
    def baseline(self) -> nn.Module:
        """The untouched network, trained or loaded; it is never changed.

        Raises:
            ModelError, WeightsError: it cannot be built, run or filled.
            TrainingDiverged: its training failed.
        """
        return self._builder.baseline

    @property
    def baseline_score(self) -> Score:
        """The baseline's answers on the search split."""
        return self._baseline_score("search")

    @property
    def baseline_digest(self) -> str:
        """12 hexadecimal digits over the baseline's weights."""
        return tensors_digest(self.baseline.state_dict())[:12]

    def evaluate(self, plan: Plan) -> Outcome:
        """Build, train and score a plan on the search split.

        Raises:
            PlanError: the plan is not in the space.
            TrainingDiverged: its training failed.
            PredictionMismatch: it does not cost what was predicted.
            Hopeless: the early stopper stopped it.
        """
        self.space.check(plan)
        try:
            return self._outcome(plan, "search")
        except EarlyStopped as stopped:
            stopped.seconds = self.timer.seconds
            raise

    def test(self, plan: Plan) -> Outcome:
        """Score a plan on the test split, which is for winners alone."""
        self.space.check(plan)
        early_stopper, self.early_stopper = (
            self.early_stopper,
            NO_EARLY_STOPPING,
        )  # it has won, whatever it is at some checkpoint
        try:
            return self._outcome(plan, "test")
        finally:
            self.early_stopper = early_stopper

    def network(self, plan: Plan) -> nn.Module:
        """The plan's network, trained, pruned and quantized."""
        self.space.check(plan)
        return self._builder.network(plan)

    def assembled(self, plan: Plan) -> nn.Module:
        """The plan's structure, its new parts from the library, before any training."""
        self.space.check(plan)
        return self._builder.assembled(plan)

    def fitting_error(self, plan: Plan) -> float:
        """What the plan's parts miss of the baseline's features: see
        `TrainingPipeline.fitting_error`.

        The plan need not lie in the space, as long as the network has its places.
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
        # The empty plan is the baseline, whose answers are known.
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
        """Let the early stopper see how a plan does by now.

        Raises:
            Hopeless: that is enough for it.
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
