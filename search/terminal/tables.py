"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ...errors import first_names
from ...objectives.accuracy.confidence import PairedDrop, Word
from ...objectives.accuracy.scoring import Metric
from ..formatting import points, short

if TYPE_CHECKING:
    from ...objectives.accuracy.budget import Budget
    from ...objectives.cost.cost import Cost
    from ...spaces.graph.blueprint import LeftAlone
    from ...spaces.space import Space
    from ..results.pareto import Verdict
    from ..results.summary import Answer
    from ..study.trial_record import Record

_STYLES = {Word.WITHIN: "bold green", Word.LIKELY: "yellow", Word.OVER: "red"}
_WORTH_A_LINE = 0.05
"""Seconds."""


def plain_table(*headings: str, title: str = "") -> Table:
    """An empty table in the style of all of them; headings that begin with > align right."""
    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for heading in headings:
        right = heading.startswith(">")
        table.add_column(heading.lstrip(">"), justify="right" if right else "left")
    return table


def winners_table(answer: Answer) -> Table:
    """Per budget what it buys, under the baseline."""
    base = answer.baseline
    own = [f">{name}" for name, _ in _own_objectives([base.cost])]
    table = plain_table(
        *("budget", ">params", ">MACs", ">bytes", *own, ">drop", ">again", ">test drop"),
        ">smaller",
        title=_of_what(answer),
    )
    name = f"baseline, {base.accuracy:.2f} %"
    table.add_row(name, *_costs(base.cost), "", "", "", "1.0x")
    for verdict in answer.verdicts:
        table.add_row(*_verdict_cells(answer, verdict))
    return table


def _of_what(answer: Answer) -> str:
    """What drops are of, where that is not the plain accuracy."""
    balanced = answer.metric is Metric.BALANCED
    return "Balanced accuracy: the mean of the classes' recalls" if balanced else ""


def _verdict_cells(answer: Answer, verdict: Verdict) -> Iterable[str | Text]:
    from ..results.pareto import times_smaller

    record = verdict.winner
    name = f"{verdict.budget.text}"
    if record is None or record.cost is None or record.plan is None:
        empty = 3 + len(_costs(answer.baseline.cost))
        return (name, *[Text("-", style="dim")] * empty, Text("nothing fits", style="red"))
    tested = answer.tested_winner(verdict)
    return (
        Text(name, style="bold"),
        *_costs(record.cost),
        points(record.drop),
        points(verdict.final.drop if verdict.final else None),
        points(tested.drop if tested else None),
        Text(f"{times_smaller(answer.baseline.cost, record.cost):.1f}x", style="bold green"),
    )


def _costs(cost: Cost) -> tuple[str, ...]:
    own = (cells[0] for _, cells in _own_objectives([cost]))
    return short(cost.params), short(cost.macs), f"{short(cost.bytes)}B", *own


def cost_table(rows: Sequence[tuple[str, Cost]]) -> Table:
    """Costs side by side."""
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
    """What a study minimizes beside the figures that all costs have: name and figures."""
    for name, _ in costs[0].chosen:
        if name not in costs[0].figures():
            yield name, [f"{dict(cost.chosen)[name]:,.6g}" for cost in costs]


def space_table(space: Space) -> Table:
    """The decisions of a space: one line per kind and set of options."""
    table = plain_table("choice", "options", "places", title="What is searched")
    table.columns[1].overflow = "fold"
    rows = dict[tuple[str, tuple[Any, ...]], list[str]]()
    for dimension in space.dimensions:
        rows.setdefault((dimension.kind, dimension.options), []).append(dimension.place)
    for (kind, options), places in rows.items():
        said = ", ".join(f"{o:g}" if isinstance(o, float) else o for o in options)
        table.add_row(kind, said, ", ".join(places))
    return table


def left_alone_table(left_alone: Sequence[LeftAlone], most: int = 12) -> Table:
    """What no technique can touch, and why; places with the same reason share a line."""
    table = plain_table("technique", "left alone", "because", title="What is left alone")
    reasons = dict[tuple[str, str], list[str]]()
    for one in left_alone:
        reasons.setdefault((one.what, one.reason), []).append(one.name)
    for (what, reason), names in list(reasons.items())[:most]:
        table.add_row(what, first_names(names, 3), reason)
    if len(reasons) > most:
        table.add_row("", f"{len(reasons) - most} more reasons", "")
    return table


def plans_of(answer: Answer) -> Table:
    """The winners' plans in words."""
    table = plain_table("budget", "trial", "plan")
    for verdict in answer.verdicts:
        record: Record | None = verdict.winner
        if record and record.plan:
            said = Text(record.plan.describe())
            if record.removed:
                said.append(f"\n{record.removed.text}", style="dim")
            table.add_row(verdict.budget.text, str(record.number), said)
    return table


def proof_table(answer: Answer) -> Table:
    """How sure it is that each winner keeps within its budget."""
    table = plain_table(
        *("budget", ">test drop", ">95 % interval", ">at most", ""), title="On the test split"
    )
    for verdict in answer.verdicts:
        tested = answer.tested_winner(verdict)
        if tested is None or tested.paired is None:
            continue
        low, high = tested.paired.interval
        table.add_row(
            verdict.budget.text,
            points(tested.drop),
            f"{points(low)} to {points(high)}",
            points(tested.paired.at_most),
            _certainty(verdict.budget, tested.paired),
        )
    return table


def _certainty(budget: Budget, found: PairedDrop) -> Text:
    """What is known of a drop, and what it would take to be sure."""
    word, needed = found.word(budget), found.images_needed(budget)
    said = Text(word, style=_STYLES[word])
    if word is Word.LIKELY and needed is not None:
        said.append(f"; within with {needed:,} images, not {found.images:,}", style="dim")
    return said


def time_table(seconds: Mapping[str, float]) -> Table:
    """Where the time of a run went, the longest first; what took next to none is left out."""
    table = plain_table("part", ">seconds", ">share", title="Where the time went")
    whole = sum(seconds.values())
    for part, took in sorted(seconds.items(), key=lambda one: -one[1]):
        if took >= _WORTH_A_LINE:
            table.add_row(part, f"{took:.1f}", f"{100 * took / whole:.1f} %")
    table.add_row("all", f"{whole:.1f}", "100.0 %", style="bold")
    return table


def _trials_line(answer: Answer) -> str:
    """How many trials there are of which sort."""
    from ..study.trial_record import How

    stopped = answer.count(How.HOPELESS)
    trained = answer.count(How.EVALUATED) + stopped
    free = answer.count(How.SHARED)
    failed = answer.count(How.FAILED)
    early = f", {stopped} of them stopped early" if stopped else ""
    said = f"{trained} plan{'' if trained == 1 else 's'} trained{early}; "
    said += f"{free} more scored at other bit-widths of the same"
    if failed:
        said += (
            f"; {failed} failed (`paredown doctor` checks this machine, "
            "`paredown search --retry-failed` tries them again)"
        )
    return said


def print_answer(console: Console, answer: Answer) -> None:
    """The answer of a study: what each budget buys, by which plan, and how long a run took."""
    console.print(winners_table(answer))
    if len(answer.misses) < len(answer.verdicts):
        console.print(plans_of(answer))
    if (proof := proof_table(answer)).row_count:
        console.print(proof)
    if answer.images:
        console.print(f"Images: {answer.images.text}", highlight=False, soft_wrap=True)
    if (gap := answer.baseline_gap) and gap.stands_out:
        console.print(f"[yellow]Note:[/] {escape(gap.text)}", highlight=False, soft_wrap=True)
    if answer.seconds:
        console.print(time_table(answer.seconds))
        console.print(_trials_line(answer), highlight=False)
