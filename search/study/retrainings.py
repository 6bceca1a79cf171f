"""What a study keeps of plans that were trained again, as finalists."""

import json
from dataclasses import asdict, dataclass

import optuna

from ...objectives.accuracy.budget import Budget
from ...spaces.plan import Plan
from .attributes import MAX_FAILURES, RETRAININGS
from .legacy_names import RETRAINING, current

SEED_OFFSET = 1
"""What is added to a study's seed for its finalists."""


@dataclass(frozen=True)
class Retraining:
    """A plan trained again.

    Attributes:
        plan: what was trained.
        seed: of all that was drawn in it.
        accuracy, drop: percent and percentage points on the search split; None if training failed.
        search_drop: the drop that the search had seen.
    """

    plan: Plan
    seed: int
    accuracy: float | None
    drop: float | None
    search_drop: float

    def meets(self, budget: Budget) -> bool:
        """Whether it keeps within a budget this time too."""
        return self.drop is not None and budget.allows(self.drop)


def read_retrainings(study: optuna.Study) -> list[Retraining]:
    """The finalists of a study so far."""
    stored = json.loads(study.user_attrs.get(RETRAININGS, "[]"))
    retrainings = [
        Retraining(**current(data, RETRAINING) | {"plan": Plan.from_json(data["plan"])})
        for data in stored
    ]
    # Two searches of the same study may have trained the same one.
    return list(
        {(retraining.plan, retraining.seed): retraining for retraining in retrainings}.values()
    )


def add_retraining(study: optuna.Study, retraining: Retraining) -> None:
    """Keep a finalist with its study."""
    stored = json.loads(study.user_attrs.get(RETRAININGS, "[]"))
    data = asdict(retraining) | {"plan": retraining.plan.to_json()}
    study.set_user_attr(RETRAININGS, json.dumps([*stored, data]))


def read_max_failures(study: optuna.Study) -> int:
    """How many finalists may fail per budget; 0 if the study has none."""
    return int(study.user_attrs.get(MAX_FAILURES, 0))


def write_max_failures(study: optuna.Study, most: int) -> None:
    """Note how many finalists may fail per budget."""
    study.set_user_attr(MAX_FAILURES, most)
