"""What to do when no plan keeps within a budget."""

import math

from ..formatting import points
from .attribution import Blame, costliest
from .pareto import Verdict, times_smaller
from .summary import Answer


def advice(found: Answer, ask: str = "") -> str:
    """The closest miss per budget that got no plan, and what to relax.

    Args:
        found: what a study says.
        ask: what to type before another budget; the command, if not given.
    """
    lines = [_miss(found, verdict) for verdict in found.misses]
    return "\n".join([*lines, *_what_to_relax(found, ask)])


def _miss(found: Answer, verdict: Verdict) -> str:
    said = f"no plan that saves anything keeps within {verdict.budget.text}"
    closest = verdict.closest
    if closest is None or closest.cost is None or closest.plan is None:
        return f"{said}; no other plan has been scored yet"
    smaller = times_smaller(found.baseline.cost, closest.cost)
    again = " when it was trained again" if verdict.final else ""
    return (
        f"{said}; the closest miss is trial {closest.number} with a drop of "
        f"{points(verdict.missed_by)} pp{again} at {smaller:.1f}x smaller: "
        f"{closest.plan.describe()}{_blame(costliest(closest, found.records))}"
    )


def _blame(most: Blame | None) -> str:
    if most is None:
        return ""
    said = f"; what costs it most is {most.technique}, {points(most.points)} pp"
    if most.without is not None:
        return f"{said} (trial {most.without} is the same without it)"
    return f"{said} (by a linear model of {most.trials} trials)" if most.trials else said


def _what_to_relax(found: Answer, ask: str) -> list[str]:
    drops = [verdict.missed_by for verdict in found.misses if verdict.missed_by is not None]
    lines = []
    if drops:
        enough = math.ceil(min(drops) * 10) / 10
        before = ask or f"paredown best {found.address} --max-drop "
        lines.append(f"a budget of {enough:g} pp would do: {before}{enough:g}")
    lines.append(
        "or search on with more --trials, train longer ([train] epochs), "
        "or offer gentler options in [space]"
    )
    return lines
