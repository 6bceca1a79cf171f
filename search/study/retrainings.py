"""What a study keeps of plans that were trained again, as finalists."""

import json
from dataclasses import asdict, dataclass

import optuna

from ...objectives.accuracy.budget import Budget
from ...spaces.plan import Plan

_KEY = "finalists"
_MOST_KEY = "finalists_per_budget"

FRESH = 1
"""What is added to a study's seed for its finalists."""


@dataclass(frozen=True)
class Final:
    """A plan trained again.

    Attributes:
        plan: what was trained.
        seed: of all that was drawn in it.
        accuracy, drop: percent and percentage points on the search split; None if training failed.
        searched: the drop that the search had seen.
    """

    plan: Plan
    seed: int
    accuracy: float | None
    drop: float | None
    searched: float

    def holds(self, budget: Budget) -> bool:
        """Whether it keeps within a budget this time too."""
        return self.drop is not None and budget.allows(self.drop)


def read_finals(study: optuna.Study) -> list[Final]:
    """The finalists of a study so far."""
    kept = json.loads(study.user_attrs.get(_KEY, "[]"))
    finals = [Final(**said | {"plan": Plan.from_json(said["plan"])}) for said in kept]
    # Two searches of the same study may have trained the same one.
    return list({(final.plan, final.seed): final for final in finals}.values())


def add_final(study: optuna.Study, final: Final) -> None:
    """Keep a finalist with its study."""
    kept = json.loads(study.user_attrs.get(_KEY, "[]"))
    said = asdict(final) | {"plan": final.plan.to_json()}
    study.set_user_attr(_KEY, json.dumps([*kept, said]))


def read_most(study: optuna.Study) -> int:
    """How many finalists may fail per budget; 0 if the study has none."""
    return int(study.user_attrs.get(_MOST_KEY, 0))


def write_most(study: optuna.Study, most: int) -> None:
    """Note how many finalists may fail per budget."""
    study.set_user_attr(_MOST_KEY, most)
