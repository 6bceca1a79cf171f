"""After a search: finalists are trained again, and each winner is scored on the test split once."""

from collections.abc import Sequence
from functools import cached_property

import optuna

from ..errors import PredictionMismatch, TrainingDiverged
from ..objectives.evaluator import Evaluator
from ..objectives.outcome import Outcome
from ..spaces.plan import Plan
from .config import StudyConfig
from .finalists import next_finalist, proven_verdict
from .finals import FRESH, Final, add_final, read_finals, write_most
from .profile import SCORING, Profile
from .proof import look_once
from .record import Record
from .storage import Baseline
from .watcher import Watcher
from .winners import Verdict


class Prover:
    """Proves what a study has found.

    Args:
        study: that has ended.
        evaluator: of the study.
        config: says how many finalists there may be.
        watcher: is told of them.
        profile: counts the time.
    """

    def __init__(
        self,
        study: optuna.Study,
        evaluator: Evaluator,
        config: StudyConfig,
        watcher: Watcher,
        profile: Profile,
    ) -> None:
        self.study, self.evaluator, self.config = study, evaluator, config
        self.watcher, self.profile = watcher, profile

    def prove(self, records: Sequence[Record], baseline: Baseline) -> None:
        """Settle every budget, the smallest first, and look at the test split for its winner."""
        write_most(self.study, self.config.finalists)
        for budget in self.config.max_drop if self.config.finalists else ():
            while found := next_finalist(
                records, read_finals(self.study), baseline.cost, budget, self.config.finalists
            ):
                final = self._trained_again(found)
                add_final(self.study, final)
                self.watcher.final_ended(final, budget)
        for budget in self.config.max_drop:
            finals = read_finals(self.study)
            self._test(proven_verdict(records, finals, baseline, budget, self.config.finalists))

    def _trained_again(self, record: Record) -> Final:
        if record.plan is None or record.drop is None:
            raise ValueError(f"trial {record.number} was not scored")
        self.watcher.final_begins(record)
        seed = self._again.seed
        try:
            outcome = self.profile.evaluation(self._again.evaluate, record.plan)
        except (TrainingDiverged, PredictionMismatch, RuntimeError):
            return Final(record.plan, seed, None, None, record.drop)
        return Final(record.plan, seed, outcome.accuracy, outcome.drop, record.drop)

    def _test(self, found: Verdict) -> None:
        evaluator = self._again if found.final else self.evaluator

        def test(winner: Plan) -> Outcome:
            # The baseline's score on this split belongs to no stage.
            return self.profile.evaluation(evaluator.test, winner, SCORING)

        look_once(self.study, found, test)

    @cached_property
    def _again(self) -> Evaluator:
        """Evaluates plans with fresh random numbers."""
        one = self.evaluator
        return Evaluator(one.task, one.space, one.cache, self.watcher, seed=one.seed + FRESH)
