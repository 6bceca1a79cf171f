"""The winners' numbers in the report, each with its key and value in `best --json`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..figures.style import budget_colour
from ..formatting import cost_in_words, points, short
from ..results.pareto import BudgetResult
from ..results.summary import StudySummary


@dataclass(frozen=True)
class Cell:
    """One number.

    Attributes:
        key: key in the JSON, as in "params" or "test.low".
        value: value in the JSON, unrounded.
        text: displayed text.
    """

    key: str
    value: float | str | None
    text: str


@dataclass(frozen=True)
class WinnerRow:
    """The winner of one budget.

    Attributes:
        max_drop: the budget, in percentage points.
        budget: the budget in words.
        cells: numbers of the winner; empty without one.
        plan: the plan in words; empty without a winner.
        pruned_share: what its pruning removes, in words.
        trial: number of the winner's trial.
        certainty: "within", "likely" or "over"; empty if unknown.
        instead: without a winner, the closest miss in words.
    """

    max_drop: float
    budget: str
    cells: tuple[Cell, ...]
    plan: str
    pruned_share: str
    trial: int | None
    certainty: str
    instead: str


@dataclass(frozen=True)
class Card:
    """The card of a budget at the top of the report.

    Attributes:
        colour: colour of the budget in all figures.
        row: the budget's row.
        headline: as in "64.1x compression".
        lines: lines below the headline.
    """

    colour: str
    row: WinnerRow
    headline: str
    lines: tuple[str, ...]


def winner_rows(summary: StudySummary) -> list[WinnerRow]:
    """A row per budget."""
    data = summary.to_dict()["budgets"]
    return [_row(result, item) for result, item in zip(summary.results, data, strict=True)]


def budget_cards(summary: StudySummary) -> list[Card]:
    """A card per budget."""
    return [
        _card(row, result, summary, budget_colour(place))
        for place, (row, result) in enumerate(
            zip(winner_rows(summary), summary.results, strict=True)
        )
    ]


def _row(result: BudgetResult, data: Mapping[str, Any]) -> WinnerRow:
    winner = result.winner
    return WinnerRow(
        max_drop=result.budget.max_drop,
        budget=result.budget.text,
        cells=_cells(data) if winner else (),
        plan=winner.plan.describe() if winner and winner.plan else "",
        pruned_share=winner.pruned_share.text if winner and winner.pruned_share else "",
        trial=winner.number if winner else None,
        certainty=str(data["certainty"] or ""),
        instead=_instead(result),
    )


def _cells(data: Mapping[str, Any]) -> tuple[Cell, ...]:
    """The columns of the winners' table, in their order."""
    retraining, test = data["retraining"] or {}, data["test"] or {}
    low, high = test.get("low"), test.get("high")
    interval = "-" if low is None or high is None else f"{points(low)} to {points(high)}"
    return (
        Cell("params", data["params"], short(data["params"])),
        Cell("macs", data["macs"], short(data["macs"])),
        Cell("bytes", data["bytes"], f"{short(data['bytes'])}B"),
        Cell("compression", data["compression"], f"{data['compression']:.1f}x"),
        Cell("drop", data["drop"], points(data["drop"])),
        Cell("retraining.drop", retraining.get("drop"), points(retraining.get("drop"))),
        Cell("test_drop", data["test_drop"], points(data["test_drop"])),
        Cell("test.low", low, interval),
        Cell("test.upper_bound", test.get("upper_bound"), points(test.get("upper_bound"))),
        Cell("certainty", data["certainty"], data["certainty"] or "-"),
    )


def _instead(result: BudgetResult) -> str:
    missed = result.missed_by
    if result.winner is not None:
        return ""
    if result.closest is None or missed is None:
        return "no compressed network was scored"
    return f"the closest is trial {result.closest.number} with a drop of {points(missed)} pp"


def _card(row: WinnerRow, result: BudgetResult, summary: StudySummary, colour: str) -> Card:
    cost = result.winner.cost if result.winner else None
    if cost is None:
        return Card(colour, row, "not feasible", (row.instead,))
    data = {cell.key: cell for cell in row.cells}
    fewer = summary.baseline.cost.flops_effective / cost.flops_effective
    costs = cost_in_words(cost)
    drops = [f"drop {data['drop'].text}"]
    for key, name in (("retraining.drop", "retrained"), ("test_drop", "on test images")):
        if data[key].value is not None:
            drops.append(f"{data[key].text} {name}")
    headline = f"{data['compression'].text} compression"
    return Card(colour, row, headline, (f"{fewer:.1f}x fewer FLOPs", costs, ", ".join(drops)))
