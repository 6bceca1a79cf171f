"""The evaluators of one task: one per seed, sharing the baseline."""

from ...objectives.accuracy.confidence import CorrectCounts
from ...objectives.evaluation.checkpoints import NO_EARLY_STOPPING, EarlyStopper
from ...objectives.evaluation.evaluator import Evaluator
from ...objectives.evaluation.outcome import Outcome
from ...objectives.evaluation.task_spec import TaskSpec
from ...objectives.training.cache import Cache
from ...objectives.training.progress import Progress
from ...spaces.plan import Plan
from .backend import BaselineScore, TaskSummary


class Evaluators:
    """Loads a task and evaluates its plans in this process.

    Args:
        spec: specification of the task.
        cache: cache of trained networks.
        progress: notified of stages and epochs.

    Raises:
        InputError: the model, data or weights cannot be used.
    """

    def __init__(self, spec: TaskSpec, cache: Cache, progress: Progress) -> None:
        task, space = spec.load()
        self.first = Evaluator(task, space, cache, progress)
        self._others = dict[int, Evaluator]()

    def summary(self, in_this_process: str = "") -> TaskSummary:
        """The task without its images and networks."""
        return TaskSummary.of(self.first.task, self.first.space, in_this_process)

    def baseline(self) -> BaselineScore:
        """Train or load the baseline, and score it on the search split."""
        self.first.timer.reset()
        digest = self.first.baseline_digest
        score = self.first.baseline_score
        seconds = self.first.timer.seconds
        return BaselineScore(score.accuracy, digest, CorrectCounts.of(score), seconds)

    def fitting_error(self, plan: Plan) -> float:
        """Deviation of a plan's fitted parts from the baseline's features."""
        return self.first.fitting_error(plan)

    def evaluate(
        self, plan: Plan, early_stopper: EarlyStopper = NO_EARLY_STOPPING, seed: int | None = None
    ) -> Outcome:
        """Build, train and score a plan on the search split."""
        evaluator = self._of(seed)
        evaluator.early_stopper = early_stopper
        return evaluator.evaluate(plan)

    def test(self, plan: Plan, seed: int | None = None) -> Outcome:
        """Score a plan on the test split."""
        return self._of(seed).test(plan)

    def _of(self, seed: int | None) -> Evaluator:
        if seed is None or seed == self.first.seed:
            return self.first
        if seed not in self._others:
            self._others[seed] = self.first.reseeded(seed)
        return self._others[seed]
