"""Finalists: the cheapest feasible plans of a budget, retrained with a new seed.

The best of many plans on few images is selected in part by chance, so its drop is underestimated
(the winner's curse; Cawley and Talbot, "On over-fitting in model selection", 2010,
https://jmlr.org/papers/v11/cawley10a.html). A plan therefore wins a budget only if it still meets
the budget after retraining. The next finalist is chosen by its drop in the search plus the average
increase of the finalists before it.
"""

from collections.abc import Sequence
from statistics import mean

from ...objectives.accuracy.budget import Budget
from ...objectives.cost.cost import Cost
from ..study.retrainings import Retraining
from ..study.storage import Baseline
from ..study.trial_record import TrialRecord, scored
from .pareto import BudgetResult, budget_result, relative_cost


def next_finalist(
    records: Sequence[TrialRecord],
    retrainings: Sequence[Retraining],
    baseline: Cost,
    budget: Budget,
    most: int,
) -> TrialRecord | None:
    """The next plan to retrain for a budget; None when the budget is settled.

    The cheapest plan that meets the budget with the average increase in drop of earlier finalists
    added; without such a plan, the plan with the least drop among those cheaper than the cheapest
    confirmed plan.

    Args:
        records: trials of the search.
        retrainings: all retrainings so far, for any budget.
        baseline: cost of the baseline.
        budget: the budget to meet.
        most: number of failed retrainings after which the budget is given up.
    """
    within = [
        record
        for record in _cheapest_first(records, baseline)
        if record.drop is not None and budget.allows(record.drop)
    ]
    names = {record.plan for record in within}
    is_given_up = sum(f.plan in names and not f.meets(budget) for f in retrainings) >= most
    tried = {retraining.plan for retraining in retrainings}
    holding = {retraining.plan for retraining in retrainings if retraining.meets(budget)}
    enough = next(
        (place for place, record in enumerate(within) if record.plan in holding), len(within)
    )
    left = [record for record in within[:enough] if record.plan not in tried]
    if is_given_up:
        # Plans without training are not subject to chance; confirming one costs a calibration.
        return next((record for record in left if record.plan and not record.plan.is_trained), None)
    lost = _mean_loss(retrainings)
    likely = (
        record for record in left if record.drop is not None and budget.allows(record.drop + lost)
    )
    safest = min(left, key=lambda record: record.drop or 0.0, default=None)
    return next(likely, safest)


def confirmed_result(
    records: Sequence[TrialRecord],
    retrainings: Sequence[Retraining],
    baseline: Baseline,
    budget: Budget,
    most: int,
) -> BudgetResult:
    """The result for a budget: by finalists if they have settled it, else by the search alone.

    Args:
        records: trials of the search.
        retrainings: all retrainings so far.
        baseline: the study's baseline.
        budget: the budget to meet.
        most: number of retrainings that may fail; 0 if the study has no finalists.
    """
    cost = baseline.cost
    if not most or next_finalist(records, retrainings, cost, budget, most) is not None:
        return budget_result(records, baseline, budget)
    by_plan = {retraining.plan: retraining for retraining in retrainings}
    again = [
        (record, by_plan[record.plan])
        for record in _cheapest_first(records, cost)
        if record.plan in by_plan
    ]
    for record, retraining in again:
        if retraining.meets(budget):
            return BudgetResult(budget, record, retraining=retraining)
    known = [
        (retraining.drop, record, retraining)
        for record, retraining in again
        if retraining.drop is not None
    ]
    if not known:  # no plan was feasible, or no retraining succeeded
        return BudgetResult(budget, None) if again else budget_result(records, baseline, budget)
    _, record, retraining = min(known, key=lambda pair: pair[0])
    return BudgetResult(budget, None, closest=record, retraining=retraining)


def _cheapest_first(records: Sequence[TrialRecord], baseline: Cost) -> list[TrialRecord]:
    """The scored plans that dominate the baseline's cost, cheapest first."""
    plans = [
        (relative_cost(baseline, record.cost), record)
        for record in scored(records)
        if record.cost is not None and record.cost.dominates(baseline)
    ]
    return [record for _, record in sorted(plans, key=lambda pair: pair[0])]


def _mean_loss(retrainings: Sequence[Retraining]) -> float:
    """Mean increase in drop from search to retraining, in percentage points; at least 0."""
    lost = [
        retraining.drop - retraining.search_drop
        for retraining in retrainings
        if retraining.drop is not None
    ]
    return max(0.0, mean(lost)) if lost else 0.0
