"""Reads what a study keeps of ablations: what each technique of a winner buys and costs."""

from collections.abc import Sequence
from dataclasses import dataclass

import optuna

from ..spaces.plan import Plan

_KEY = "ablation"


@dataclass(frozen=True)
class Share:
    """One technique of a winner, by what happens without it.

    Attributes:
        technique: a kind of choice, as in "block".
        words: what was taken out, in words.
        params_ratio, flops_ratio: how many times fewer effective params and FLOPs it makes.
        drop_without: in percentage points, of the plan without it, trained as briefly.
        costs: points of accuracy that it costs; negative if the plan is better for it.
    """

    technique: str
    words: str
    params_ratio: float
    flops_ratio: float
    drop_without: float
    costs: float


@dataclass(frozen=True)
class Attribution:
    """What the techniques of one budget's winner do.

    Attributes:
        max_drop: the budget, in percentage points.
        plan: the winner's, as it was then.
        drop: of the whole plan, trained as briefly as those without a technique.
        epochs: of that training.
        shares: one for each technique.
    """

    max_drop: float
    plan: Plan
    drop: float
    epochs: int
    shares: Sequence[Share]


def read_attribution(study: optuna.Study) -> list[Attribution]:
    """The ablations of a study, the smallest budget first; empty if there are none."""
    kept = study.user_attrs.get(_KEY, {})
    found = [
        Attribution(
            max_drop=float(max_drop),
            plan=Plan.from_json(said["plan"]),
            drop=float(said["drop"]),
            epochs=int(said["epochs"]),
            shares=[
                Share(
                    technique=str(row["technique"]),
                    words=str(row["words"]),
                    params_ratio=float(row["params_effective_ratio"]),
                    flops_ratio=float(row["flops_effective_ratio"]),
                    drop_without=float(row["drop_without"]),
                    costs=float(row["costs_pp"]),
                )
                for row in said["rows"]
            ],
        )
        for max_drop, said in kept.items()
    ]
    return sorted(found, key=lambda one: one.max_drop)
