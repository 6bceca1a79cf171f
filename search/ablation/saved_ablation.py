"""Ablations as stored in a study: what each technique of a winner saves and costs."""

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
    """The ablation of one technique.

    Attributes:
        technique: the technique.
        description: the plan's choices of the technique, in words.
        params_effective_ratio: effective params without the technique, relative to the plan's.
        flops_effective_ratio: effective FLOPs without the technique, relative to the plan's.
        drop_without: drop of the plan without the technique, trained briefly, in percentage points.
        costs_pp: the plan's drop minus `drop_without`; negative where the technique helps.
    """

    technique: str
    description: str
    params_effective_ratio: float
    flops_effective_ratio: float
    drop_without: float
    costs_pp: float


@dataclass(frozen=True)
class Ablation:
    """The ablation of a winner.

    Attributes:
        plan: the winner's plan.
        drop: drop of the winner, trained as briefly as its variants, in percentage points.
        epochs: epochs of the winner's training.
        rows: one row per technique without which the plan could be trained.
    """

    plan: Plan
    drop: float
    epochs: int
    rows: tuple[AblationRow, ...]

    @property
    def left_out(self) -> list[str]:
        """The plan's techniques without a row."""
        reported = {row.technique for row in self.rows}
        return [technique for technique in techniques_of(self.plan) if technique not in reported]

    def to_dict(self) -> dict[str, Any]:
        """The ablation as JSON values, for `from_dict`."""
        return {
            "plan": self.plan.to_json(),
            "drop": self.drop,
            "epochs": self.epochs,
            "rows": [asdict(row) for row in self.rows],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Ablation":
        """Read the JSON of `to_dict`."""
        rows = tuple(AblationRow(**current(row, ABLATION_ROW)) for row in data["rows"])
        return cls(Plan.from_json(data["plan"]), float(data["drop"]), int(data["epochs"]), rows)


def techniques_of(plan: Plan) -> list[str]:
    """The techniques of a plan, without those that only modify another technique."""
    chosen = {choice.technique for choice in plan.choices}
    return [
        technique.name
        for technique in TECHNIQUES
        if technique.name in chosen and not technique.modifies
    ]


def read_ablations(study: optuna.Study) -> dict[Budget, Ablation]:
    """Read the ablations of a study by budget, smallest budget first."""
    stored = study.user_attrs.get(ABLATIONS, {})
    results = {Budget(float(key)): Ablation.from_dict(data) for key, data in stored.items()}
    return dict(sorted(results.items(), key=lambda pair: pair[0].max_drop))


def write_ablation(study: optuna.Study, budget: Budget, ablation: Ablation) -> None:
    """Store the ablation of a budget's winner in a study."""
    stored = study.user_attrs.get(ABLATIONS, {})
    study.set_user_attr(ABLATIONS, stored | {named(budget): ablation.to_dict()})


def named(budget: Budget) -> str:
    """The key under which a budget's ablation is stored."""
    return f"{budget.max_drop:g}"
