"""Retrainings of finalists, as stored in a study."""

import json
from dataclasses import asdict, dataclass

import optuna

from ...objectives.accuracy.budget import Budget
from ...spaces.plan import Plan
from .attributes import MAX_FAILURES, RETRAININGS
from .legacy_names import RETRAINING, current

SEED_OFFSET = 1
"""Offset of the finalists' seed from the study's seed."""


@dataclass(frozen=True)
class Retraining:
    """A plan retrained with another seed.

    Attributes:
        plan: the plan.
        seed: seed of the retraining.
        accuracy, drop: in percent and percentage points, on the search split; None if it failed.
        search_drop: the drop in the search.
    """

    plan: Plan
    seed: int
    accuracy: float | None
    drop: float | None
    search_drop: float

    def meets(self, budget: Budget) -> bool:
        """Whether the retrained plan meets a budget."""
        return self.drop is not None and budget.allows(self.drop)


def read_retrainings(study: optuna.Study) -> list[Retraining]:
    """Read the retrainings of a study."""
    stored = json.loads(study.user_attrs.get(RETRAININGS, "[]"))
    retrainings = [
        Retraining(**current(data, RETRAINING) | {"plan": Plan.from_json(data["plan"])})
        for data in stored
    ]
    # Two processes of the same study may have retrained the same plan.
    return list(
        {(retraining.plan, retraining.seed): retraining for retraining in retrainings}.values()
    )


def add_retraining(study: optuna.Study, retraining: Retraining) -> None:
    """Store a retraining in its study."""
    stored = json.loads(study.user_attrs.get(RETRAININGS, "[]"))
    data = asdict(retraining) | {"plan": retraining.plan.to_json()}
    study.set_user_attr(RETRAININGS, json.dumps([*stored, data]))


def read_max_failures(study: optuna.Study) -> int:
    """Read how many finalists may fail per budget; 0 if the study has none."""
    return int(study.user_attrs.get(MAX_FAILURES, 0))


def write_max_failures(study: optuna.Study, most: int) -> None:
    """Store how many finalists may fail per budget."""
    study.set_user_attr(MAX_FAILURES, most)
