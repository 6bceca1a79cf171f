"""What to do when no plan keeps within a budget."""

import math

from ..formatting import points
from .attribution import Attribution, costliest
from .pareto import BudgetResult, compression
from .summary import StudySummary


def advice(summary: StudySummary, ask: str = "") -> str:
    """The closest miss per budget that got no plan, and what to relax.

    Args:
        summary: what a study says.
        ask: what to type before another budget; the command, if not given.
    """
    lines = [_miss(summary, result) for result in summary.misses]
    return "\n".join([*lines, *_what_to_relax(summary, ask)])


def _miss(summary: StudySummary, result: BudgetResult) -> str:
    text = f"no plan that saves anything keeps within {result.budget.text}"
    closest = result.closest
    if closest is None or closest.cost is None or closest.plan is None:
        return f"{text}; no other plan has been scored yet"
    smaller = compression(summary.baseline.cost, closest.cost)
    again = " when it was trained again" if result.retraining else ""
    return (
        f"{text}; the closest miss is trial {closest.number} with a drop of "
        f"{points(result.missed_by)} pp{again} at {smaller:.1f}x smaller: "
        f"{closest.plan.describe()}{_attribution(costliest(closest, summary.records))}"
    )


def _attribution(most: Attribution | None) -> str:
    if most is None:
        return ""
    text = f"; what costs it most is {most.technique}, {points(most.points)} pp"
    if most.without is not None:
        return f"{text} (trial {most.without} is the same without it)"
    return f"{text} (by a linear model of {most.trials} trials)" if most.trials else text


def _what_to_relax(summary: StudySummary, ask: str) -> list[str]:
    drops = [result.missed_by for result in summary.misses if result.missed_by is not None]
    lines = []
    if drops:
        enough = math.ceil(min(drops) * 10) / 10
        before = ask or f"paredown best {summary.address} --max-drop "
        lines.append(f"a budget of {enough:g} pp would do: {before}{enough:g}")
    lines.append(
        "or search on with more --trials, train longer ([train] epochs), "
        "or offer gentler options in [space]"
    )
    return lines
