"""The trials of a summary that figures show: those with plan, cost and drop."""

from collections.abc import Sequence
from dataclasses import dataclass

from ...objectives.cost.cost import Cost
from ...spaces.plan import Plan
from ..results.summary import StudySummary
from ..study.trial_record import TrialRecord, scored
from .style import tooltip


@dataclass(frozen=True)
class Point:
    """One scored plan.

    Attributes:
        number: number of its trial.
        plan: the plan.
        cost: cost of the plan.
        drop: in percentage points, on the search split.
        words: text of the tooltip.
    """

    number: int
    plan: Plan
    cost: Cost
    drop: float
    words: str


@dataclass(frozen=True)
class Marked:
    """A winner, with all budgets that it has won.

    Attributes:
        point: the plan.
        budgets: the budgets in words: "0.5 and 1 pp".
        place: index of its smallest budget in the summary.
    """

    point: Point
    budgets: str
    place: int


def points_of(summary: StudySummary) -> list[Point]:
    """The scored plans without duplicates, in the order of their trials."""
    return [point for record in scored(summary.records) if (point := _point(record, summary))]


def marked(summary: StudySummary) -> list[Marked]:
    """The winners without duplicates, smallest budget first."""
    places, by_plan = dict[Plan, list[int]](), dict[Plan, Point]()
    for place, result in enumerate(summary.results):
        point = _point(result.winner, summary) if result.winner else None
        if point is not None:
            by_plan[point.plan] = point
            places.setdefault(point.plan, []).append(place)
    return [
        Marked(
            by_plan[plan], _listed([f"{summary.results[n].budget.max_drop:g}" for n in at]), at[0]
        )
        for plan, at in places.items()
    ]


def _point(record: TrialRecord, summary: StudySummary) -> Point | None:
    if record.plan is None or record.cost is None or record.drop is None:
        return None
    words = tooltip(record.number, record.plan, record.cost, summary.baseline.cost, record.drop)
    return Point(record.number, record.plan, record.cost, record.drop, words)


def _listed(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last} pp" if most else f"{last} pp"
