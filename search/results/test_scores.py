"""What the test split says of winners. It is looked at once for each, and kept in the study."""

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
    """A winner on the test split.

    Attributes:
        accuracy: percent.
        drop: in percentage points.
        paired: image by image beside the baseline; None in studies from before 0.4.
    """

    accuracy: float
    drop: float
    paired: PairedDrop | None

    def certainty(self, budget: Budget) -> Certainty | None:
        """What is known about the drop and a budget."""
        return self.paired.certainty(budget) if self.paired else None

    def images_needed(self, budget: Budget) -> int | None:
        """How many test images would make it `within`; None if no number would."""
        return self.paired.images_needed(budget) if self.paired else None

    @property
    def baseline(self) -> CorrectCounts | None:
        """What the baseline got right on the test split; None if that was not kept."""
        paired = self.paired
        if paired is None or paired.baseline or isinstance(paired, BalancedDrop):
            return paired.baseline if paired else None
        right = round((self.accuracy + self.drop) / 100 * paired.images)
        return CorrectCounts(((right, paired.images),))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` reads it back."""
        paired = self.paired.to_dict() if self.paired else {}
        return {"accuracy": self.accuracy, "drop": self.drop} | paired

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "TestScore":
        """Reads what `to_dict` wrote."""
        paired = PairedDrop.from_dict(data) if "images" in data else None
        return cls(float(data["accuracy"]), float(data["drop"]), paired)


def read_test_scores(study: optuna.Study) -> dict[str, TestScore]:
    """`test_score_key` -> what the test split said; one entry for each look at it."""
    stored = study_attributes(study.user_attrs).get(TEST_SCORES, {})
    return {key: TestScore.from_dict(data) for key, data in stored.items()}


def test_score_key(plan: Plan, retraining: Retraining | None) -> str:
    """Names a trained network: a plan trained again is another one."""
    return plan.key if retraining is None else f"{plan.key}-seed{retraining.seed}"


def score_once(study: optuna.Study, result: BudgetResult, test: Callable[[Plan], Outcome]) -> None:
    """Look at the test split for a budget's winner, unless that was done, and keep what it said.

    Args:
        study: that keeps it.
        result: what the budget buys; without a winner nothing is looked at.
        test: scores a plan on the test split, as the network that has won.
    """
    plan = result.winner.plan if result.winner else None
    stored = study_attributes(study.user_attrs).get(TEST_SCORES, {})
    if plan is None or (key := test_score_key(plan, result.retraining)) in stored:
        return
    outcome = test(plan)
    data = TestScore(outcome.accuracy, outcome.drop, outcome.paired).to_dict()
    study.set_user_attr(TEST_SCORES, stored | {key: data})
