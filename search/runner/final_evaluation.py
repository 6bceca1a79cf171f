"""After a search: finalists are trained again, and each winner is scored on the test split once."""

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
from ..results.finalists import next_finalist, proven_verdict
from ..results.pareto import Verdict
from ..results.test_scores import look_once
from ..study.config import StudyConfig
from ..study.profiler import SCORING, Profile
from ..study.retrainings import FRESH, Final, add_final, read_finals, write_most
from ..study.storage import Baseline
from ..study.trial_record import Record
from .callbacks import Watcher


class Prover:
    """Proves what a study has found.

    Args:
        study: that has ended.
        backend: evaluates plans.
        summary: of the task.
        config: says how many finalists there may be.
        watcher: is told of them.
        profile: counts the time.
    """

    def __init__(
        self,
        study: optuna.Study,
        backend: EvaluationBackend,
        summary: TaskSummary,
        config: StudyConfig,
        watcher: Watcher,
        profile: Profile,
    ) -> None:
        self.study, self.backend, self.config = study, backend, config
        self.watcher, self.profile = watcher, profile
        self.seed = summary.seed + FRESH

    def retrain(self, records: Sequence[Record], baseline: Baseline) -> None:
        """Train finalists again, until every budget is settled, the smallest first.

        Raises:
            TimeLimitReached: some are left; a later run goes on with them.
        """
        write_most(self.study, self.config.finalists)
        for budget in self.config.max_drop if self.config.finalists else ():
            while found := next_finalist(
                records, read_finals(self.study), baseline.cost, budget, self.config.finalists
            ):
                final = self._trained_again(found)
                add_final(self.study, final)
                self.watcher.final_ended(final, budget)

    def test(self, records: Sequence[Record], baseline: Baseline) -> None:
        """Score the winner of every budget on the test split, if that was not done before.

        Raises:
            TimeLimitReached: some are left; a later run goes on with them.
        """
        for budget in self.config.max_drop:
            finals = read_finals(self.study)
            self._test(proven_verdict(records, finals, baseline, budget, self.config.finalists))

    def _trained_again(self, record: Record) -> Final:
        if record.plan is None or record.drop is None:
            raise ValueError(f"trial {record.number} was not scored")
        self.watcher.final_begins(record)
        try:
            outcome = self.profile.evaluation(
                lambda plan: self.backend.evaluate(plan, seed=self.seed), record.plan
            )
        except (TrainingDiverged, PredictionMismatch, EvaluationFailed):
            return Final(record.plan, self.seed, None, None, record.drop)
        return Final(record.plan, self.seed, outcome.accuracy, outcome.drop, record.drop)

    def _test(self, found: Verdict) -> None:
        seed = self.seed if found.final else None

        def test(winner: Plan) -> Outcome:
            return self.profile.evaluation(
                lambda plan: self.backend.test(plan, seed), winner, SCORING
            )

        try:
            look_once(self.study, found, test)
        except (EvaluationFailed, TrainingDiverged) as error:
            self.watcher.test_failed(found.budget, str(error))
