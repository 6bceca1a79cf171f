"""The numbers of the winners as a page shows them, each beside what `best --json` says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..figures.style import budget_colour
from ..formatting import points, short
from ..results.pareto import Verdict
from ..results.summary import Answer


@dataclass(frozen=True)
class Cell:
    """One number.

    Attributes:
        key: its name in the JSON, as in "params" or "test.low".
        value: what the JSON has there, whole.
        text: what is read.
    """

    key: str
    value: float | str | None
    text: str


@dataclass(frozen=True)
class WinnerRow:
    """What one budget buys.

    Attributes:
        max_drop: the budget, in percentage points.
        budget: its name.
        cells: its numbers.
        plan: in words; empty if nothing fits.
        removed: what its pruning removes, in words.
        trial: where it was found.
        word: "within", "likely" or "over"; empty if that is not known.
        instead: if nothing fits, what comes closest.
    """

    max_drop: float
    budget: str
    cells: tuple[Cell, ...]
    plan: str
    removed: str
    trial: int | None
    word: str
    instead: str


@dataclass(frozen=True)
class Card:
    """A budget in large letters.

    Attributes:
        colour: of the budget in all pictures.
        row: what it buys.
        headline: as in "64.1x smaller".
        lines: what is said below it.
    """

    colour: str
    row: WinnerRow
    headline: str
    lines: tuple[str, ...]


def winner_rows(found: Answer) -> list[WinnerRow]:
    """A row per budget."""
    said = found.to_dict()["budgets"]
    return [_row(verdict, one) for verdict, one in zip(found.verdicts, said, strict=True)]


def budget_cards(found: Answer) -> list[Card]:
    """A card per budget."""
    return [
        _card(row, verdict, found, budget_colour(place))
        for place, (row, verdict) in enumerate(zip(winner_rows(found), found.verdicts, strict=True))
    ]


def _row(verdict: Verdict, said: Mapping[str, Any]) -> WinnerRow:
    winner = verdict.winner
    return WinnerRow(
        max_drop=verdict.budget.max_drop,
        budget=verdict.budget.text,
        cells=_cells(said) if winner else (),
        plan=winner.plan.describe() if winner and winner.plan else "",
        removed=winner.removed.text if winner and winner.removed else "",
        trial=winner.number if winner else None,
        word=str(said["word"] or ""),
        instead=_instead(verdict),
    )


def _cells(said: Mapping[str, Any]) -> tuple[Cell, ...]:
    """The columns of the winners' table, in their order."""
    final, test = said["final"] or {}, said["test"] or {}
    low, high = test.get("low"), test.get("high")
    interval = "-" if low is None or high is None else f"{points(low)} to {points(high)}"
    return (
        Cell("params", said["params"], short(said["params"])),
        Cell("macs", said["macs"], short(said["macs"])),
        Cell("bytes", said["bytes"], f"{short(said['bytes'])}B"),
        Cell("times_smaller", said["times_smaller"], f"{said['times_smaller']:.1f}x"),
        Cell("drop", said["drop"], points(said["drop"])),
        Cell("final.drop", final.get("drop"), points(final.get("drop"))),
        Cell("test_drop", said["test_drop"], points(said["test_drop"])),
        Cell("test.low", low, interval),
        Cell("test.at_most", test.get("at_most"), points(test.get("at_most"))),
        Cell("word", said["word"], said["word"] or "-"),
    )


def _instead(verdict: Verdict) -> str:
    missed = verdict.missed_by
    if verdict.winner is not None:
        return ""
    if verdict.closest is None or missed is None:
        return "no plan that saves anything was scored"
    return f"the closest, trial {verdict.closest.number}, drops {points(missed)} pp"


def _card(row: WinnerRow, verdict: Verdict, found: Answer, colour: str) -> Card:
    cost = verdict.winner.cost if verdict.winner else None
    if cost is None:
        return Card(colour, row, "nothing fits", (row.instead,))
    said = {cell.key: cell for cell in row.cells}
    fewer = found.baseline.cost.flops_effective / cost.flops_effective
    costs = f"{short(cost.params)} params, {short(cost.macs)} MACs, {short(cost.bytes)}B"
    drops = [f"drop {said['drop'].text}"]
    for key, name in (("final.drop", "again"), ("test_drop", "on test images")):
        if said[key].value is not None:
            drops.append(f"{said[key].text} {name}")
    headline = f"{said['times_smaller'].text} smaller"
    return Card(colour, row, headline, (f"{fewer:.1f}x fewer FLOPs", costs, ", ".join(drops)))
