"""The end of a search: finalists are retrained, and winners are scored once on the test split."""

from collections.abc import Sequence

import optuna

from ...errors import PredictionMismatch, TrainingDiverged
from ...objectives.evaluation.outcome import Outcome
from ...spaces.plan import Plan
from ..isolation.backend import (
    EvaluationBackend,
    EvaluationFailed,
    TaskSummary,
)
from ..results.finalists import confirmed_result, next_finalist
from ..results.pareto import BudgetResult
from ..results.test_scores import score_once
from ..study.config import StudyConfig
from ..study.profiler import SCORING, Profiler
from ..study.retrainings import (
    SEED_OFFSET,
    Retraining,
    add_retraining,
    read_retrainings,
    write_max_failures,
)
from ..study.storage import Baseline
from ..study.trial_record import TrialRecord
from .callbacks import Callback


class FinalEvaluation:
    """Retrains finalists and scores winners on the test split.

    Args:
        study: a study whose trials are done.
        backend: evaluates plans.
        summary: summary of the task.
        config: the study's configuration, with the number of finalists.
        callback: notified of retrainings and failed tests.
        profiler: measures the time.
    """

    def __init__(
        self,
        study: optuna.Study,
        backend: EvaluationBackend,
        summary: TaskSummary,
        config: StudyConfig,
        callback: Callback,
        profiler: Profiler,
    ) -> None:
        self.study, self.backend, self.config = study, backend, config
        self.callback, self.profiler = callback, profiler
        self.seed = summary.seed + SEED_OFFSET

    def retrain(self, records: Sequence[TrialRecord], baseline: Baseline) -> None:
        """Retrain finalists until every budget is settled, smallest budget first.

        Raises:
            TimeLimitReached: some are left for a later run.
        """
        write_max_failures(self.study, self.config.finalists)
        for budget in self.config.max_drop if self.config.finalists else ():
            while record := next_finalist(
                records, read_retrainings(self.study), baseline.cost, budget, self.config.finalists
            ):
                retraining = self._retrain_one(record)
                add_retraining(self.study, retraining)
                self.callback.retraining_ended(retraining, budget)

    def test(self, records: Sequence[TrialRecord], baseline: Baseline) -> None:
        """Score every winner on the test split that has no test score yet.

        Raises:
            TimeLimitReached: some are left for a later run.
        """
        for budget in self.config.max_drop:
            retrainings = read_retrainings(self.study)
            self._test(
                confirmed_result(records, retrainings, baseline, budget, self.config.finalists)
            )

    def _retrain_one(self, record: TrialRecord) -> Retraining:
        if record.plan is None or record.drop is None:
            raise ValueError(f"trial {record.number} was not scored")
        self.callback.retraining_begins(record)
        try:
            outcome = self.profiler.evaluation(
                lambda plan: self.backend.evaluate(plan, seed=self.seed), record.plan
            )
        except (TrainingDiverged, PredictionMismatch, EvaluationFailed):
            return Retraining(record.plan, self.seed, None, None, record.drop)
        return Retraining(record.plan, self.seed, outcome.accuracy, outcome.drop, record.drop)

    def _test(self, result: BudgetResult) -> None:
        seed = self.seed if result.retraining else None

        def test(winner: Plan) -> Outcome:
            return self.profiler.evaluation(
                lambda plan: self.backend.test(plan, seed), winner, SCORING
            )

        try:
            score_once(self.study, result, test)
        except (EvaluationFailed, TrainingDiverged) as error:
            self.callback.test_failed(result.budget, str(error))
