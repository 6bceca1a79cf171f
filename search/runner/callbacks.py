"""Callbacks of a search; the terminal display is one of them."""

from collections.abc import Sequence

from ...objectives.accuracy.budget import Budget
from ...objectives.training.progress import Progress
from ...spaces.plan import Plan
from ..isolation.backend import TaskSummary
from ..study.config import StudyConfig
from ..study.retrainings import Retraining
from ..study.storage import Baseline
from ..study.trial_record import TrialRecord


class Callback(Progress):
    """Base class of callbacks. All methods do nothing; override the ones you need.

    Order of the calls in one run: `prepared` and `baseline_ready` once; then for each trial
    `trial_begins` (unless the plan is not evaluated) and `trial_ended`; then for each finalist
    `retraining_begins` and `retraining_ended`; `test_failed` for winners without a test score;
    `finished` last, in any case once `prepared` was called. `stage` and `epoch` are called in
    between, during every evaluation. An exception in a callback ends the search.
    """

    def prepared(self, config: StudyConfig, storage: str, task: TaskSummary) -> None:
        """Called once model, data and search space are loaded, before any training."""

    def baseline_ready(self, baseline: Baseline, records: Sequence[TrialRecord]) -> None:
        """Called once the baseline is scored; `records` are the trials of earlier runs."""

    def trial_begins(self, number: int | None, plan: Plan) -> None:
        """Called before a plan is evaluated; `number` is None if no training is needed."""

    def trial_ended(self, record: TrialRecord, records: Sequence[TrialRecord]) -> None:
        """Called after every trial, whatever its status; `records` are all trials so far."""

    def retraining_begins(self, record: TrialRecord) -> None:
        """Called before a finalist, the plan of this trial, is retrained."""

    def retraining_ended(self, retraining: Retraining, budget: Budget) -> None:
        """Called after a finalist of a budget was retrained."""

    def test_failed(self, budget: Budget, reason: str) -> None:
        """Called if a winner cannot be scored on the test split; the next run retries."""

    def finished(self) -> None:
        """Called at the end of the run, after an error or interruption too."""
