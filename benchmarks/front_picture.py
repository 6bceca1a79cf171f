"""Draw the Pareto fronts of a study: the cost and drop of each plan, and the winners.

Run `python benchmarks/front_picture.py digits --storage sqlite:///paredown.db -o docs/front.png` on
a finished study. Nothing is trained.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paredown.search.results.pareto import front
from paredown.search.results.summary import StudySummary, summarize
from paredown.search.study.storage import open_storage, open_study
from paredown.search.study.trial_record import TrialRecord, scored

_COLOURS = "viridis_r"


def draw(summary: StudySummary, path: Path) -> None:
    """Draw effective params by effective FLOPs, both in percent of the baseline's.

    Args:
        summary: summary of a finished study.
        path: PNG file to write.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.8), layout="constrained", facecolor="white")
    axes = figure.subplots()
    largest = max(result.budget.max_drop for result in summary.results)
    plans = scored(summary.records)
    within = [record for record in plans if _drop(record) <= largest]
    beyond = [record for record in plans if _drop(record) > largest]
    axes.scatter(*_shares(summary, beyond), s=16, c="0.82", label=f"drops more than {largest:g} pp")
    dots = axes.scatter(
        *_shares(summary, within),
        s=44,
        c=[_drop(record) for record in within],
        cmap=_COLOURS,
        vmin=min(0.0, *(_drop(record) for record in within)),
        vmax=largest,
        edgecolors="0.25",
        linewidths=0.6,
        zorder=3,
    )
    for result in summary.results:
        _front(axes, summary, front(plans, result.budget), f"front within {result.budget.text}")
    _winners(axes, summary)
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


def _front(axes: Any, summary: StudySummary, records: Sequence[TrialRecord], label: str) -> None:
    """Draw the attainment line: plans above and to the right of it are dominated."""
    across, up = _shares(summary, records)
    if across:
        ends = [across[0], *across, 200], [200, *up, up[-1]]
        axes.step(*ends, where="post", linewidth=1.2, label=label, zorder=2)


def _winners(axes: Any, summary: StudySummary) -> None:
    """Draw a ring around each winner, with its budgets."""
    budgets = dict[int, list[str]]()
    for result in summary.results:
        if result.winner is not None:
            budgets.setdefault(result.winner.number, []).append(f"{result.budget.max_drop:g}")
    winners = {record.number: record for v in summary.results if (record := v.winner) is not None}
    across, up = _shares(summary, list(winners.values()))
    axes.scatter(
        across, up, s=170, facecolors="none", edgecolors="crimson", linewidths=1.8, zorder=4
    )
    for place, (number, x, y) in enumerate(zip(winners, across, up, strict=True)):
        text = f"winner, {' and '.join(budgets[number])} pp"
        offset = (14, 8 - 28 * place)  # winners are near each other, and so would texts be
        axes.annotate(text, (x, y), offset, textcoords="offset points", color="crimson")


def _shares(
    summary: StudySummary, records: Sequence[TrialRecord]
) -> tuple[list[float], list[float]]:
    """Effective params and FLOPs of records in percent of the baseline's."""
    base = summary.baseline.cost.objectives
    costs = [record.cost.objectives for record in records if record.cost is not None]
    return (
        [100 * params / base[0] for params, _ in costs],
        [100 * flops / base[1] for _, flops in costs],
    )


def _drop(record: TrialRecord) -> float:
    return float("inf") if record.drop is None else record.drop


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the Pareto fronts of a study.")
    parser.add_argument("name", help="name of the study")
    parser.add_argument(
        "--storage", default="sqlite:///paredown.db", help="database with the study"
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("front.png"), help="PNG file to write"
    )
    arguments = parser.parse_args()
    study = open_study(
        open_storage(arguments.storage, must_exist=True), arguments.storage, arguments.name
    )
    draw(summarize(study, (), arguments.storage), arguments.output)
    print(arguments.output)


if __name__ == "__main__":
    main()
