"""Finalists: the cheapest plans of a budget, trained once more with a fresh seed.

The best of many plans on a few images is partly the luckiest: measured again, some of its luck is
gone (the winner's curse; Cawley and Talbot, "On over-fitting in model selection", 2010,
https://jmlr.org/papers/v11/cawley10a.html). So a plan wins a budget only if its drop holds once it
is trained again, with other random numbers. Whoever comes next is chosen knowing by how much those
before it did worse than in the search.
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
    """Whom to train again next for a budget; None when that is settled.

    It is the cheapest plan within the budget, even with what the finalists so far lost on average;
    or, if there is none, the one with the least drop of those that cost less than what holds.

    Args:
        records: trials of the search.
        retrainings: those trained again so far, for whatever budget.
        baseline: its cost.
        budget: to be kept.
        most: how many may fail before nothing is trained any more for that budget.
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
        # What trains nothing had no luck: it costs a calibration to see that its drop holds.
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
    """What a budget buys: by its finalists if they have settled it, else by the search alone.

    Args:
        records: trials of the search.
        retrainings: those trained again.
        baseline: of the study.
        budget: to be kept.
        most: how many may fail; 0 if the study has no finalists.
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
    if not known:  # none was feasible, or no training succeeded again
        return BudgetResult(budget, None) if again else budget_result(records, baseline, budget)
    _, record, retraining = min(known, key=lambda pair: pair[0])
    return BudgetResult(budget, None, closest=record, retraining=retraining)


def _cheapest_first(records: Sequence[TrialRecord], baseline: Cost) -> list[TrialRecord]:
    """The scored plans that save something."""
    plans = [
        (relative_cost(baseline, record.cost), record)
        for record in scored(records)
        if record.cost is not None and record.cost.dominates(baseline)
    ]
    return [record for _, record in sorted(plans, key=lambda pair: pair[0])]


def _mean_loss(retrainings: Sequence[Retraining]) -> float:
    """By how many points finalists did worse than in the search, on average; not less than 0."""
    lost = [
        retraining.drop - retraining.search_drop
        for retraining in retrainings
        if retraining.drop is not None
    ]
    return max(0.0, mean(lost)) if lost else 0.0
