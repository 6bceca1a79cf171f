"""What is kept of winners that were taken apart: what each technique saves and costs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import optuna

from ...objectives.accuracy.budget import Budget
from ...spaces.plan import Plan
from ...spaces.techniques import TECHNIQUES
from ..study.attributes import ABLATIONS
from ..study.legacy_names import ABLATION_ROW, current


@dataclass(frozen=True)
class AblationRow:
    """One technique of a plan.

    Attributes:
        technique: the technique.
        description: what the plan chooses of it, and where.
        params_effective_ratio: how many times the effective params the plan would have without it.
        flops_effective_ratio: the same of effective FLOPs.
        drop_without: of the plan without it, trained briefly, in percentage points.
        costs_pp: of the plan's drop, in percentage points; negative where it helps.
    """

    technique: str
    description: str
    params_effective_ratio: float
    flops_effective_ratio: float
    drop_without: float
    costs_pp: float


@dataclass(frozen=True)
class Ablation:
    """A winner taken apart.

    Attributes:
        plan: the winner.
        drop: of the winner, trained as briefly as the rest, in percentage points.
        epochs: that the winner was trained for.
        rows: one for each of its techniques that it could be trained without.
    """

    plan: Plan
    drop: float
    epochs: int
    rows: tuple[AblationRow, ...]

    @property
    def left_out(self) -> list[str]:
        """The techniques that nothing is known of."""
        reported = {row.technique for row in self.rows}
        return [technique for technique in techniques_of(self.plan) if technique not in reported]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` reads it back."""
        return {
            "plan": self.plan.to_json(),
            "drop": self.drop,
            "epochs": self.epochs,
            "rows": [asdict(row) for row in self.rows],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Ablation":
        """Reads what `to_dict` wrote."""
        rows = tuple(AblationRow(**current(row, ABLATION_ROW)) for row in data["rows"])
        return cls(Plan.from_json(data["plan"]), float(data["drop"]), int(data["epochs"]), rows)


def techniques_of(plan: Plan) -> list[str]:
    """The techniques in a plan that do something; the manner of one belongs to it."""
    chosen = {choice.technique for choice in plan.choices}
    return [
        technique.name
        for technique in TECHNIQUES
        if technique.name in chosen and not technique.modifies
    ]


def read_ablations(study: optuna.Study) -> dict[Budget, Ablation]:
    """The winners of a study that were taken apart, by their budgets, the smallest first."""
    stored = study.user_attrs.get(ABLATIONS, {})
    results = {Budget(float(key)): Ablation.from_dict(data) for key, data in stored.items()}
    return dict(sorted(results.items(), key=lambda pair: pair[0].max_drop))


def write_ablation(study: optuna.Study, budget: Budget, ablation: Ablation) -> None:
    """Keep with a study what a budget's winner is made of."""
    stored = study.user_attrs.get(ABLATIONS, {})
    study.set_user_attr(ABLATIONS, stored | {named(budget): ablation.to_dict()})


def named(budget: Budget) -> str:
    """What an ablation is kept under."""
    return f"{budget.max_drop:g}"
