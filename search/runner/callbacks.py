"""Hooks by which a search says what it does. The screen is one of them."""

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
    """Does nothing; override what you want to see."""

    def prepared(self, config: StudyConfig, storage: str, task: TaskSummary) -> None:
        """Model, data and space are ready; nothing has been trained in this run."""

    def baseline_ready(self, baseline: Baseline, records: Sequence[TrialRecord]) -> None:
        """The baseline is trained and scored; `records` are the trials of earlier runs."""

    def trial_begins(self, number: int | None, plan: Plan) -> None:
        """A plan is about to be built; one that is for free gets its number when it has ended."""

    def trial_ended(self, record: TrialRecord, records: Sequence[TrialRecord]) -> None:
        """A trial has ended, this way or that; `records` are all trials, it included."""

    def retraining_begins(self, record: TrialRecord) -> None:
        """A finalist, the plan of this trial, is about to be trained again."""

    def retraining_ended(self, retraining: Retraining, budget: Budget) -> None:
        """A finalist was trained again for a budget."""

    def test_failed(self, budget: Budget, reason: str) -> None:
        """A budget's winner could not be scored on the test split; the next run tries again."""

    def finished(self) -> None:
        """The search is over, or was interrupted."""
