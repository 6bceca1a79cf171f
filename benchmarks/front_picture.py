"""The front of a study as a picture: what each plan costs, what it loses, and who wins.

Run `python benchmarks/front_picture.py digits --storage sqlite:///paredown.db -o docs/front.png` on
a finished study. Nothing is trained.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paredown.search.results.pareto import front
from paredown.search.results.summary import Answer, answer
from paredown.search.study.storage import open_storage, open_study
from paredown.search.study.trial_record import Record, scored

_COLOURS = "viridis_r"


def draw(found: Answer, path: Path) -> None:
    """Draw what was found, effective params by effective FLOPs, both in percent of the baseline's.

    Args:
        found: by a finished study.
        path: of the PNG to write.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.8), layout="constrained", facecolor="white")
    axes = figure.subplots()
    largest = max(verdict.budget.max_drop for verdict in found.verdicts)
    plans = scored(found.records)
    within = [one for one in plans if _drop(one) <= largest]
    beyond = [one for one in plans if _drop(one) > largest]
    axes.scatter(*_shares(found, beyond), s=16, c="0.82", label=f"drops more than {largest:g} pp")
    dots = axes.scatter(
        *_shares(found, within),
        s=44,
        c=[_drop(one) for one in within],
        cmap=_COLOURS,
        vmin=min(0.0, *(_drop(one) for one in within)),
        vmax=largest,
        edgecolors="0.25",
        linewidths=0.6,
        zorder=3,
    )
    for verdict in found.verdicts:
        _front(axes, found, front(plans, verdict.budget), f"front within {verdict.budget.text}")
    _winners(axes, found)
    axes.plot(100, 100, "k*", markersize=14, label="baseline", zorder=5)
    axes.set(
        xscale="log",
        yscale="log",
        xlim=(None, 170),
        ylim=(None, 170),
        xlabel="effective params, % of the baseline's",
        ylabel="effective FLOPs, % of the baseline's",
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    axes.grid(which="major", color="0.92", zorder=0)
    figure.colorbar(dots, label="drop on the search split, pp")
    axes.legend(loc="upper left", framealpha=1, edgecolor="0.92", fontsize=8)
    figure.savefig(path, dpi=130)


def _front(axes: Any, found: Answer, records: Sequence[Record], label: str) -> None:
    """Stairs: whatever is above and to the right of them is beaten."""
    across, up = _shares(found, records)
    if across:
        ends = [across[0], *across, 200], [200, *up, up[-1]]
        axes.step(*ends, where="post", linewidth=1.2, label=label, zorder=2)


def _winners(axes: Any, found: Answer) -> None:
    """A ring around each winner, and the budgets that it wins."""
    budgets = dict[int, list[str]]()
    for verdict in found.verdicts:
        if verdict.winner is not None:
            budgets.setdefault(verdict.winner.number, []).append(f"{verdict.budget.max_drop:g}")
    winners = {one.number: one for v in found.verdicts if (one := v.winner) is not None}
    across, up = _shares(found, list(winners.values()))
    axes.scatter(
        across, up, s=170, facecolors="none", edgecolors="crimson", linewidths=1.8, zorder=4
    )
    for number, x, y in zip(winners, across, up, strict=True):
        text = f"winner, {' and '.join(budgets[number])} pp"
        axes.annotate(text, (x, y), (12, 8), textcoords="offset points", color="crimson")


def _shares(found: Answer, records: Sequence[Record]) -> tuple[list[float], list[float]]:
    """Effective params and FLOPs of records, each in percent of the baseline's."""
    base = found.baseline.cost.objectives
    costs = [one.cost.objectives for one in records if one.cost is not None]
    return (
        [100 * params / base[0] for params, _ in costs],
        [100 * flops / base[1] for _, flops in costs],
    )


def _drop(record: Record) -> float:
    return float("inf") if record.drop is None else record.drop


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the front of a study.")
    parser.add_argument("name", help="of the study")
    parser.add_argument("--storage", default="sqlite:///paredown.db", help="where it is kept")
    parser.add_argument("-o", "--output", type=Path, default=Path("front.png"), help="a PNG")
    asked = parser.parse_args()
    study = open_study(open_storage(asked.storage, must_exist=True), asked.storage, asked.name)
    draw(answer(study, (), asked.storage), asked.output)
    print(asked.output)


if __name__ == "__main__":
    main()
