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
from ..study.retrainings import Final
from ..study.storage import Baseline
from ..study.trial_record import Record, scored
from .pareto import Verdict, relative_cost, verdict


def next_finalist(
    records: Sequence[Record], finals: Sequence[Final], baseline: Cost, budget: Budget, most: int
) -> Record | None:
    """Whom to train again next for a budget; None when that is settled.

    It is the cheapest plan within the budget, even with what the finalists so far lost on average;
    or, if there is none, the one with the least drop of those that cost less than what holds.

    Args:
        records: trials of the search.
        finals: those trained again so far, for whatever budget.
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
    is_given_up = sum(f.plan in names and not f.holds(budget) for f in finals) >= most
    tried = {final.plan for final in finals}
    holding = {final.plan for final in finals if final.holds(budget)}
    enough = next((place for place, one in enumerate(within) if one.plan in holding), len(within))
    left = [record for record in within[:enough] if record.plan not in tried]
    if is_given_up:
        # What trains nothing had no luck: it costs a calibration to see that its drop holds.
        return next((one for one in left if one.plan and not one.plan.is_trained), None)
    lost = _lost_again(finals)
    likely = (one for one in left if one.drop is not None and budget.allows(one.drop + lost))
    safest = min(left, key=lambda one: one.drop or 0.0, default=None)
    return next(likely, safest)


def proven_verdict(
    records: Sequence[Record],
    finals: Sequence[Final],
    baseline: Baseline,
    budget: Budget,
    most: int,
) -> Verdict:
    """What a budget buys: by its finalists if they have settled it, else by the search alone.

    Args:
        records: trials of the search.
        finals: those trained again.
        baseline: of the study.
        budget: to be kept.
        most: how many may fail; 0 if the study has no finalists.
    """
    cost = baseline.cost
    if not most or next_finalist(records, finals, cost, budget, most) is not None:
        return verdict(records, baseline, budget)
    by_plan = {final.plan: final for final in finals}
    again = [
        (record, by_plan[record.plan])
        for record in _cheapest_first(records, cost)
        if record.plan in by_plan
    ]
    for record, final in again:
        if final.holds(budget):
            return Verdict(budget, record, final=final)
    known = [(final.drop, record, final) for record, final in again if final.drop is not None]
    if not known:  # none was feasible, or no training succeeded again
        return Verdict(budget, None) if again else verdict(records, baseline, budget)
    _, record, final = min(known, key=lambda one: one[0])
    return Verdict(budget, None, closest=record, final=final)


def _cheapest_first(records: Sequence[Record], baseline: Cost) -> list[Record]:
    """The scored plans that save something."""
    plans = [
        (relative_cost(baseline, record.cost), record)
        for record in scored(records)
        if record.cost is not None and record.cost.beats(baseline)
    ]
    return [record for _, record in sorted(plans, key=lambda one: one[0])]


def _lost_again(finals: Sequence[Final]) -> float:
    """By how many points finalists did worse than in the search, on average; not less than 0."""
    lost = [final.drop - final.searched for final in finals if final.drop is not None]
    return max(0.0, mean(lost)) if lost else 0.0
