"""Advice for budgets without a feasible plan."""

import math

from ..formatting import points
from .attribution import Attribution, costliest
from .pareto import BudgetResult, compression
from .summary import StudySummary


def advice(summary: StudySummary, ask: str = "") -> str:
    """Describe the closest miss of each budget without a winner, and what to relax.

    Args:
        summary: the study's results.
        ask: text to type before another budget; by default the command.
    """
    lines = [_miss(summary, result) for result in summary.misses]
    return "\n".join([*lines, *_what_to_relax(summary, ask)])


def _miss(summary: StudySummary, result: BudgetResult) -> str:
    text = f"no compressed network met the {result.budget.text} budget"
    closest = result.closest
    if closest is None or closest.cost is None or closest.plan is None:
        return f"{text}; no other plan has been scored yet"
    ratio = compression(summary.baseline.cost, closest.cost)
    retrained = " after retraining" if result.retraining else ""
    return (
        f"{text}; the closest is trial {closest.number} with a drop of "
        f"{points(result.missed_by)} pp{retrained} at {ratio:.1f}x compression: "
        f"{closest.plan.describe()}{_attribution(costliest(closest, summary.records))}"
    )


def _attribution(most: Attribution | None) -> str:
    if most is None:
        return ""
    text = f"; its costliest technique is {most.technique}, {points(most.points)} pp"
    if most.without is not None:
        return f"{text} (measured by trial {most.without}, the plan without {most.technique})"
    return f"{text} (estimated by a linear model of {most.trials} trials)" if most.trials else text


def _what_to_relax(summary: StudySummary, ask: str) -> list[str]:
    drops = [result.missed_by for result in summary.misses if result.missed_by is not None]
    lines = []
    if drops:
        enough = math.ceil(min(drops) * 10) / 10
        before = ask or f"paredown best {summary.address} --max-drop "
        lines.append(f"the smallest feasible budget is {enough:g} pp: {before}{enough:g}")
    lines.append(
        "or continue the search with more --trials, train longer ([train] epochs), "
        "or offer milder options in [space]"
    )
    return lines
