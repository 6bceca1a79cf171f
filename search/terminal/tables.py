"""Tables of a study's results for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ...errors import first_names
from ...objectives.accuracy.confidence import Certainty, PairedDrop
from ...objectives.accuracy.scoring import Metric
from ..formatting import points, short

if TYPE_CHECKING:
    from ...objectives.accuracy.budget import Budget
    from ...objectives.cost.cost import Cost
    from ...spaces.graph.blueprint import Skipped
    from ...spaces.space import Space
    from ..results.pareto import BudgetResult
    from ..results.summary import StudySummary
    from ..study.trial_record import TrialRecord

_STYLES = {Certainty.WITHIN: "bold green", Certainty.LIKELY: "yellow", Certainty.OVER: "red"}
_WORTH_A_LINE = 0.05
"""Shortest time that is shown, in seconds."""


def plain_table(*headings: str, title: str = "") -> Table:
    """An empty table in the common style; columns whose heading starts with > align right."""
    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for heading in headings:
        right = heading.startswith(">")
        table.add_column(heading.lstrip(">"), justify="right" if right else "left")
    return table


def winners_table(summary: StudySummary) -> Table:
    """The winner of each budget, below the baseline."""
    base = summary.baseline
    own = [f">{name}" for name, _ in _own_objectives([base.cost])]
    table = plain_table(
        *("budget", ">params", ">MACs", ">bytes", *own, ">drop", ">retrained", ">test drop"),
        ">compression",
        title=_of_what(summary),
    )
    name = f"baseline, {base.accuracy:.2f} %"
    table.add_row(name, *_costs(base.cost), "", "", "", "1.0x")
    for result in summary.results:
        table.add_row(*_result_cells(summary, result))
    return table


def _of_what(summary: StudySummary) -> str:
    """A title that names the metric, where it is not plain accuracy."""
    balanced = summary.metric is Metric.BALANCED
    return "Balanced accuracy: the mean recall over classes" if balanced else ""


def _result_cells(summary: StudySummary, result: BudgetResult) -> Iterable[str | Text]:
    from ..results.pareto import compression

    record = result.winner
    name = f"{result.budget.text}"
    if record is None or record.cost is None or record.plan is None:
        empty = 3 + len(_costs(summary.baseline.cost))
        return (name, *[Text("-", style="dim")] * empty, Text("not feasible", style="red"))
    test_score = summary.winner_test_score(result)
    return (
        Text(name, style="bold"),
        *_costs(record.cost),
        points(record.drop),
        points(result.retraining.drop if result.retraining else None),
        points(test_score.drop if test_score else None),
        Text(f"{compression(summary.baseline.cost, record.cost):.1f}x", style="bold green"),
    )


def _costs(cost: Cost) -> tuple[str, ...]:
    own = (cells[0] for _, cells in _own_objectives([cost]))
    return short(cost.params), short(cost.macs), f"{short(cost.bytes)}B", *own


def cost_table(rows: Sequence[tuple[str, Cost]]) -> Table:
    """Costs side by side, one column each."""
    names = [name for name, _ in rows]
    table = plain_table("", *(f">{name}" for name in names))
    table.columns[0].no_wrap = len(rows) < 4
    lines: list[tuple[str, list[str]]] = [
        ("params", [f"{cost.params:,}" for _, cost in rows]),
        ("params, effective", [f"{cost.params_effective:,.0f}" for _, cost in rows]),
        ("MACs (conv and linear)", [f"{cost.macs:,}" for _, cost in rows]),
        ("FLOPs (2 x MACs)", [f"{cost.flops:,}" for _, cost in rows]),
        ("FLOPs, effective", [f"{cost.flops_effective:,.0f}" for _, cost in rows]),
        ("BOPs", [short(cost.bops) for _, cost in rows]),
        ("bytes of parameters", [f"{cost.bytes:,}" for _, cost in rows]),
    ]
    for name, cells in [*lines, *_own_objectives([cost for _, cost in rows])]:
        table.add_row(name, *cells)
    return table


def _own_objectives(costs: Sequence[Cost]) -> Iterator[tuple[str, list[str]]]:
    """A study's own objectives, beside the figures that all costs have: name and values."""
    for name, _ in costs[0].chosen:
        if name not in costs[0].figures():
            yield name, [f"{dict(cost.chosen)[name]:,.6g}" for cost in costs]


def space_table(space: Space) -> Table:
    """The dimensions of a space: one row per technique and set of options."""
    table = plain_table("technique", "options", "places", title="Search space")
    table.columns[1].overflow = "fold"
    rows = dict[tuple[str, tuple[Any, ...]], list[str]]()
    for dimension in space.dimensions:
        rows.setdefault((dimension.technique, dimension.options), []).append(dimension.place)
    for (technique, options), places in rows.items():
        text = ", ".join(f"{o:g}" if isinstance(o, float) else o for o in options)
        table.add_row(technique, text, ", ".join(places))
    return table


def skipped_table(skipped: Sequence[Skipped], most: int = 12) -> Table:
    """Layers that techniques skip, with reasons; layers with the same reason share a row."""
    table = plain_table("technique", "layers", "reason", title="Skipped layers")
    reasons = dict[tuple[str, str], list[str]]()
    for entry in skipped:
        reasons.setdefault((entry.technique, entry.reason), []).append(entry.name)
    for (technique, reason), names in list(reasons.items())[:most]:
        table.add_row(technique, first_names(names, 3), reason)
    if len(reasons) > most:
        table.add_row("", f"{len(reasons) - most} more reasons", "")
    return table


def plans_of(summary: StudySummary) -> Table:
    """The winners' plans in words."""
    table = plain_table("budget", "trial", "plan")
    for result in summary.results:
        record: TrialRecord | None = result.winner
        if record and record.plan:
            text = Text(record.plan.describe())
            if record.pruned_share:
                text.append(f"\n{record.pruned_share.text}", style="dim")
            table.add_row(result.budget.text, str(record.number), text)
    return table


def test_score_table(summary: StudySummary) -> Table:
    """The winners' drops on the test split, with confidence intervals."""
    table = plain_table(
        *("budget", ">test drop", ">95 % interval", ">at most", ""), title="On the test split"
    )
    for result in summary.results:
        test_score = summary.winner_test_score(result)
        if test_score is None or test_score.paired is None:
            continue
        low, high = test_score.paired.interval
        table.add_row(
            result.budget.text,
            points(test_score.drop),
            f"{points(low)} to {points(high)}",
            points(test_score.paired.upper_bound),
            _certainty_text(result.budget, test_score.paired),
        )
    return table


def _certainty_text(budget: Budget, paired: PairedDrop) -> Text:
    """Certainty that a drop is within its budget, and how many images would settle it."""
    certainty, needed = paired.certainty(budget), paired.images_needed(budget)
    text = Text(certainty, style=_STYLES[certainty])
    if certainty is Certainty.LIKELY and needed is not None:
        text.append(f"; within needs {needed:,} images, has {paired.images:,}", style="dim")
    return text


def time_table(seconds: Mapping[str, float]) -> Table:
    """Time breakdown of a run, longest part first; negligible parts are left out."""
    table = plain_table("part", ">seconds", ">share", title="Time breakdown")
    whole = sum(seconds.values())
    for part, took in sorted(seconds.items(), key=lambda pair: -pair[1]):
        if took >= _WORTH_A_LINE:
            table.add_row(part, f"{took:.1f}", f"{100 * took / whole:.1f} %")
    table.add_row("all", f"{whole:.1f}", "100.0 %", style="bold")
    return table


def _trials_line(summary: StudySummary) -> str:
    """Numbers of trained, rescored and failed trials in one sentence."""
    from ..study.trial_record import TrialStatus

    stopped = summary.count(TrialStatus.EARLY_STOPPED)
    trained = summary.count(TrialStatus.EVALUATED) + stopped
    free = summary.count(TrialStatus.REUSED_WEIGHTS)
    failed = summary.count(TrialStatus.FAILED)
    early = f", {stopped} of them stopped early" if stopped else ""
    text = f"{trained} plan{'' if trained == 1 else 's'} trained{early}; "
    text += f"{free} more scored with the same weights at other bit-widths"
    if failed:
        text += (
            f"; {failed} failed (`paredown doctor` checks this machine, "
            "`paredown search --retry-failed` retries them)"
        )
    return text


def print_summary(console: Console, summary: StudySummary) -> None:
    """Print a study's winners, their plans and test scores, and the time breakdown."""
    console.print(winners_table(summary))
    if len(summary.misses) < len(summary.results):
        console.print(plans_of(summary))
    if (proof := test_score_table(summary)).row_count:
        console.print(proof)
    if summary.images:
        console.print(f"Images: {summary.images.text}", highlight=False, soft_wrap=True)
    if (gap := summary.baseline_gap) and gap.stands_out:
        console.print(f"[yellow]Note:[/] {escape(gap.text)}", highlight=False, soft_wrap=True)
    if summary.seconds:
        console.print(time_table(summary.seconds))
        console.print(_trials_line(summary), highlight=False)
