"""Scores of winners on the test split. Each winner is scored once, and the score is stored in the
study."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna

from ...objectives.accuracy.budget import Budget
from ...objectives.accuracy.confidence import BalancedDrop, Certainty, CorrectCounts, PairedDrop
from ...objectives.evaluation.outcome import Outcome
from ...spaces.plan import Plan
from ..study.attributes import TEST_SCORES
from ..study.legacy_names import study_attributes
from ..study.retrainings import Retraining
from .pareto import BudgetResult


@dataclass(frozen=True)
class TestScore:
    """The score of a winner on the test split.

    Attributes:
        accuracy: in percent.
        drop: in percentage points.
        paired: comparison with the baseline image by image; None in studies from before 0.4.
    """

    accuracy: float
    drop: float
    paired: PairedDrop | None

    def certainty(self, budget: Budget) -> Certainty | None:
        """The certainty that the drop is within a budget; None without paired scores."""
        return self.paired.certainty(budget) if self.paired else None

    def images_needed(self, budget: Budget) -> int | None:
        """Number of test images that would make the certainty `within`; None if none would."""
        return self.paired.images_needed(budget) if self.paired else None

    @property
    def baseline(self) -> CorrectCounts | None:
        """The baseline's correct predictions on the test split; None if not stored."""
        paired = self.paired
        if paired is None or paired.baseline or isinstance(paired, BalancedDrop):
            return paired.baseline if paired else None
        right = round((self.accuracy + self.drop) / 100 * paired.images)
        return CorrectCounts(((right, paired.images),))

    def to_dict(self) -> dict[str, Any]:
        """The score as JSON values, for `from_dict`."""
        paired = self.paired.to_dict() if self.paired else {}
        return {"accuracy": self.accuracy, "drop": self.drop} | paired

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "TestScore":
        """Read the JSON of `to_dict`."""
        paired = PairedDrop.from_dict(data) if "images" in data else None
        return cls(float(data["accuracy"]), float(data["drop"]), paired)


def read_test_scores(study: optuna.Study) -> dict[str, TestScore]:
    """`test_score_key` -> score on the test split; one entry per evaluation there."""
    stored = study_attributes(study.user_attrs).get(TEST_SCORES, {})
    return {key: TestScore.from_dict(data) for key, data in stored.items()}


def test_score_key(plan: Plan, retraining: Retraining | None) -> str:
    """The key of a trained network: a retrained plan has a key of its own."""
    return plan.key if retraining is None else f"{plan.key}-seed{retraining.seed}"


def score_once(study: optuna.Study, result: BudgetResult, test: Callable[[Plan], Outcome]) -> None:
    """Score a budget's winner on the test split, once, and store the score in the study.

    Args:
        study: the study that stores the score.
        result: the result of the budget; without a winner nothing is scored.
        test: scores a plan's winning network on the test split.
    """
    plan = result.winner.plan if result.winner else None
    stored = study_attributes(study.user_attrs).get(TEST_SCORES, {})
    if plan is None or (key := test_score_key(plan, result.retraining)) in stored:
        return
    outcome = test(plan)
    data = TestScore(outcome.accuracy, outcome.drop, outcome.paired).to_dict()
    study.set_user_attr(TEST_SCORES, stored | {key: data})
