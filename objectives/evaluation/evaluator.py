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
from ..training.progress import SILENT, Clock, Progress
from .checkpoints import LENIENT, Hopeless, Judge, Rung
from .outcome import Outcome
from .pipeline import Builder
from .task import Task


class Evaluator:
    """Turns plans into outcomes for one task and one space.

    Args:
        task: the model, images and recipes.
        space: whose plans are evaluated.
        cache: where trained networks are kept.
        progress: is told of stages and epochs.
        judge: may stop plans on their way; it can be replaced at any time.
        seed: of what plans draw while they are built and trained; the task's, if not given. The
            baseline keeps the task's.
    """

    def __init__(
        self,
        task: Task,
        space: Space,
        cache: Cache,
        progress: Progress = SILENT,
        judge: Judge = LENIENT,
        seed: int | None = None,
    ) -> None:
        self.task, self.space, self.cache, self.judge = task, space, cache, judge
        self.seed = task.seed if seed is None else seed
        self.clock = Clock(progress)
        self._builder = Builder(task, space, cache, self.clock, self._look, self.seed)
        self._rungs = list[Rung]()
        self._asked = Plan()
        self._baseline_scores = dict[str, Score]()

    def reseeded(self, seed: int) -> "Evaluator":
        """An evaluator whose plans draw from another seed; it shares the baseline and its scores.

        Args:
            seed: of what plans draw while they are built and trained.
        """
        other = Evaluator(self.task, self.space, self.cache, self.clock.progress, seed=seed)
        other._builder.baseline = self.baseline
        other._baseline_scores = self._baseline_scores
        return other

    def foretold_cost(self, plan: Plan) -> Cost:
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
            PredictionMismatch: it does not cost what was foretold.
            Hopeless: the judge stopped it.
        """
        self.space.check(plan)
        try:
            return self._outcome(plan, "search")
        except Hopeless as stopped:
            stopped.seconds = self.clock.seconds
            raise

    def test(self, plan: Plan) -> Outcome:
        """Score a plan on the test split, which is for winners alone."""
        self.space.check(plan)
        judge, self.judge = self.judge, LENIENT  # it has won, whatever it is at some rung
        try:
            return self._outcome(plan, "test")
        finally:
            self.judge = judge

    def network(self, plan: Plan) -> nn.Module:
        """The plan's network, trained, pruned and quantized."""
        self.space.check(plan)
        return self._builder.network(plan)

    def assembled(self, plan: Plan) -> nn.Module:
        """The plan's structure, its new parts from the library, before any training."""
        self.space.check(plan)
        return self._builder.assembled(plan)

    def missed(self, plan: Plan) -> float:
        """What the plan's parts miss of the baseline's features: see `Builder.missed`.

        The plan need not lie in the space, as long as the network has its places.
        """
        return self._builder.missed(plan)

    def _baseline_score(self, split: str) -> Score:
        if split not in self._baseline_scores:
            images: ImageSet = getattr(self.task.splits, split)
            self._baseline_scores[split] = self._score(self.baseline, images)
        return self._baseline_scores[split]

    def _outcome(self, plan: Plan, split: str) -> Outcome:
        baseline = self._baseline_score(split)
        self.clock.reset()
        self._rungs, self._asked = [], plan
        network = self._builder.network(plan)
        measured = measure(network, self._builder.images(self._builder.device))
        foretold = self.foretold_cost(plan)
        check_prediction(foretold, measured, f"plan {plan.key}")
        # The empty plan is the baseline, whose answers are known.
        found = self._score(network, getattr(self.task.splits, split)) if plan.choices else baseline
        return Outcome(
            plan,
            foretold,
            found.accuracy,
            drop_between(baseline.accuracy, found.accuracy),
            self.clock.seconds,
            tuple(self._rungs),
            PairedDrop.between(baseline, found),
        )

    def _look(self, network: nn.Module, stage: str, epoch: int, epochs: int) -> None:
        """Let the judge see how a plan does by now.

        Raises:
            Hopeless: that is enough for it.
        """
        if not self.judge.wants(stage, epoch, epochs):
            return
        accuracy = self._score(network, self.task.splits.search).accuracy
        rung = Rung(stage, epoch, drop_between(self.baseline_score.accuracy, accuracy))
        self._rungs.append(rung)
        if self.judge.stops(self._asked, rung):
            raise Hopeless(rung)

    def _score(self, network: nn.Module, images: ImageSet) -> Score:
        with self.clock.stage("score"):
            normalisation = self.task.splits.normalisation
            return score(network, images, normalisation, metric=self.task.metric)
