"""Pareto front, winner and closest miss of each budget."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...objectives.accuracy.budget import Budget
from ...objectives.cost.cost import Cost
from ..study.retrainings import Retraining
from ..study.storage import Baseline
from ..study.trial_record import TrialRecord, scored


@dataclass(frozen=True)
class BudgetResult:
    """The result for one budget.

    Attributes:
        budget: the budget.
        winner: the cheapest feasible plan that dominates the baseline; None if there is none.
        closest: without a winner, the scored plan with the least drop, if there is one.
        retraining: the retraining of the winner, or else of the closest miss; None without one.
    """

    budget: Budget
    winner: TrialRecord | None
    closest: TrialRecord | None = None
    retraining: Retraining | None = None

    @property
    def missed_by(self) -> float | None:
        """The latest drop of the closest miss, in percentage points."""
        if self.retraining is not None and self.retraining.drop is not None:
            return self.retraining.drop
        return self.closest.drop if self.closest else None


def compression(baseline: Cost, cost: Cost) -> float:
    """Ratio of the baseline's effective params to a plan's."""
    return baseline.params_effective / cost.params_effective


def relative_cost(baseline: Cost, cost: Cost) -> float:
    """Geometric mean of the objectives' ratios to the baseline.

    It weighs a halving of params like a halving of FLOPs, whatever their absolute sizes.
    """
    pairs = zip(cost.objectives, baseline.objectives, strict=True)
    ratios = [ours / theirs for ours, theirs in pairs]
    product = math.prod(ratios)
    return math.sqrt(product) if len(ratios) == 2 else product ** (1 / len(ratios))


def front(records: Sequence[TrialRecord], budget: Budget) -> list[TrialRecord]:
    """The Pareto front of the plans within a budget, smallest first."""
    feasible = _feasible(records, budget)
    nondominated = [
        record
        for record in feasible
        if not any(_cost(other).dominates(_cost(record)) for other in feasible)
    ]
    return sorted(nondominated, key=lambda record: _cost(record).objectives)


def dominated_by(records: Sequence[TrialRecord], cost: Cost, budget: Budget) -> TrialRecord | None:
    """A plan within the budget whose cost dominates this cost; None if there is none."""
    feasible = _feasible(records, budget)
    return next((record for record in feasible if _cost(record).dominates(cost)), None)


def budget_result(
    records: Sequence[TrialRecord], baseline: Baseline, budget: Budget
) -> BudgetResult:
    """The winner for a budget, or the closest miss.

    The winner has the least relative cost of the front, and must dominate the baseline.
    """
    plans = [record for record in scored(records) if _cost(record).dominates(baseline.cost)]
    within = _feasible(plans, budget)
    if within:
        return BudgetResult(
            budget, min(within, key=lambda r: relative_cost(baseline.cost, _cost(r)))
        )
    closest = min(plans, key=lambda record: _drop(record), default=None)
    return BudgetResult(budget, None, closest)


def budget_results(
    records: Sequence[TrialRecord], baseline: Baseline, budgets: Sequence[Budget]
) -> list[BudgetResult]:
    """The result of each budget, in the order of the budgets."""
    known = scored(records)
    return [budget_result(known, baseline, budget) for budget in budgets]


def _feasible(records: Sequence[TrialRecord], budget: Budget) -> list[TrialRecord]:
    return [record for record in scored(records) if budget.allows(_drop(record))]


def _cost(record: TrialRecord) -> Cost:
    if record.cost is None:
        raise ValueError(f"trial {record.number} has no cost")
    return record.cost


def _drop(record: TrialRecord) -> float:
    if record.drop is None:
        raise ValueError(f"trial {record.number} has no drop")
    return record.drop
