"""Notes that the dashboard shows beside a study and its trials."""

import hashlib
import json
import textwrap
from collections.abc import Iterator, Sequence
from functools import partial

import optuna

from ...objectives.cost.cost import Cost
from ...objectives.cost.objective import OBJECTIVES
from ...spaces.plan import Plan
from ..formatting import points, short
from ..isolation.backend import TaskSummary
from ..results.pareto import BudgetResult, compression
from ..results.summary import StudySummary
from ..study.attributes import NOTE_DIGEST
from ..study.config import StudyConfig
from ..study.storage import Baseline
from ..study.trial_record import TrialRecord, TrialStatus

_WIDTH = 80
"""Characters of a line of code; the dashboard's pages get as wide as the longest."""

_HOW_TO_READ = "\n## How to read it\n"
_BUYS = "\n## What the budgets buy\n"

_STUDY_NOTE = (
    """\
# How far can {model} be pared down on {data}?

| | |
|---|---|
| Model | {model}: {baseline} |
| Images | {images}; {classes} classes |
| Baseline | {accuracy:.2f} % {metric} on the images that score plans |
| Budgets | {budgets} of drop |
| Space | {size:,} plans |
| Seed | {seed} |
"""
    + _HOW_TO_READ
    + """
- **Objectives**, minimized: {objectives}. Effective: a b-bit parameter counts b/32, an operation \
max(weight bits, activation bits)/32.
- **Drop** is the baseline's {metric} minus the plan's, in percentage points; a trial has it as \
`drop_pp`.
- **Constraint**: the drop beyond the largest budget. A trial above 0 is infeasible.
- A trial that was not trained says why in its note: a feasible plan costs less, or it had been \
seen before.
- **Best trials** are the front within the largest budget: no other trial there costs less in \
every objective. `paredown best {name}` answers any budget, `paredown ablate {name}` takes a \
winner apart.
"""
)

_ENDED = {
    TrialStatus.EVALUATED: "trained and scored",
    TrialStatus.REUSED_WEIGHTS: "scored",
    TrialStatus.REPEATED: "not trained",
    TrialStatus.EARLY_STOPPED: "stopped early",
    TrialStatus.DOMINATED: "not trained",
    TrialStatus.FAILED: "failed",
    TrialStatus.STOPPED: "stopped",
    TrialStatus.RUNNING: "running",
}


def describe_study(
    study: optuna.Study, config: StudyConfig, task: TaskSummary, baseline: Baseline
) -> None:
    """Write what a study is about; what the user wrote there stays."""
    import optuna_dashboard  # here: it takes 90 MB, which a search needs for its plans

    titles = [OBJECTIVES.get(name).title for name in config.objectives]
    note = _STUDY_NOTE.format(
        name=config.name,
        model=task.model,
        data=task.data,
        baseline=costs(baseline.cost),
        images=task.splits.text,
        classes=task.classes,
        accuracy=baseline.accuracy,
        metric=task.metric,
        objectives=", ".join(titles),
        budgets=", ".join(budget.text for budget in config.max_drop),
        size=task.space.size,
        seed=config.seed,
    )
    there = optuna_dashboard.get_note(study)
    if not there or study.user_attrs.get(NOTE_DIGEST) == _digest(there) != _digest(note):
        optuna_dashboard.save_note(study, note)
        study.set_user_attr(NOTE_DIGEST, _digest(note))


def with_winners(note: str, summary: StudySummary) -> str:
    """A study's note with what its budgets buy by now, unless the user made it another one."""
    if _BUYS in note or _HOW_TO_READ not in note:
        return note
    return note.replace(_HOW_TO_READ, f"{_BUYS}{_winners(summary)}\n{_HOW_TO_READ}", 1)


def trial_note(record: TrialRecord, summary: StudySummary) -> str:
    """What a trial proposed in words, what it costs, and how it did."""
    return "\n\n".join(
        [
            *_did(record, summary),
            *_proposed(record),
            *_figures(record, summary.baseline.cost),
            *_ended(record),
            *_as_json(record),
        ]
    )


def study_in_words(summary: StudySummary) -> dict[str, str]:
    """What a study has found, by name, in readable units."""
    base = summary.baseline
    data = {"the baseline": f"{base.accuracy:.2f} %, {costs(base.cost)}"}
    for result in summary.results:
        data[f"within {result.budget.text}"] = _winner_in_words(summary, result)
    return data


def in_words(record: TrialRecord) -> Iterator[tuple[str, str]]:
    """What a trial proposed and how it did: (name, said in readable units)."""
    if record.cost is not None:
        yield "its costs", costs(record.cost)
    if record.drop is not None:
        yield "its drop", f"{points(record.drop)} pp"
    if record.seconds:
        yield "it took", f"{sum(record.seconds.values()):.1f} s"


def costs(cost: Cost) -> str:
    """The raw figures of a cost in words."""
    return f"{short(cost.params)} params, {short(cost.macs)} MACs, {short(cost.bytes)}B"


def took_in_words(record: TrialRecord) -> str:
    """How long the stages of a trial took; empty if it had none."""
    return ", ".join(
        f"{took:.1f} s to {stage}" for stage, took in record.seconds.items() if took >= 0.05
    )


def _proposed(record: TrialRecord) -> Iterator[str]:
    """The plan, a line for each technique."""
    if record.plan is not None:
        yield "\n".join(f"- {text}" for text in record.plan.describe().split("; "))
    if record.pruned_share is not None:
        text = record.pruned_share.text
        yield f"{text[:1].upper()}{text[1:]}."


def _did(record: TrialRecord, summary: StudySummary) -> Iterator[str]:
    """Which budgets a trial has won, and its drop, as often as it was measured."""
    won = [result for result in summary.results if _is(result.winner, record)]
    if won:
        yield f"### Wins {', '.join(result.budget.text for result in won)}"
    if record.accuracy is not None:
        base = summary.baseline.accuracy
        text = f"**Drop {points(record.drop)} pp**: {record.accuracy:.2f} %, baseline {base:.2f} %"
        yield "; ".join([text, *(_measured_again(won[0], summary) if won else ())])
    elif record.drop_lower_bound is not None:
        yield f"**Drop {points(record.drop_lower_bound)} pp or more**"


def _measured_again(result: BudgetResult, summary: StudySummary) -> Iterator[str]:
    test_score = summary.winner_test_score(result)
    if result.retraining:
        yield f"{points(result.retraining.drop)} when it was trained again"
    if test_score:
        yield f"{points(test_score.drop)} on the test split"


def _as_json(record: TrialRecord) -> Iterator[str]:
    if record.plan is not None:
        yield f"The plan for `--plan` and `--start`:\n\n```json\n{_wrapped(record.plan)}\n```"


def _wrapped(plan: Plan) -> str:
    """A plan as JSON, in lines that are not wider than the dashboard's notes."""
    techniques = (
        f'  "{technique}": {json.dumps(data)}' for technique, data in plan.to_dict().items()
    )
    lines = ",\n".join(techniques).splitlines()
    wrap = partial(
        textwrap.fill,
        width=_WIDTH,
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(["{", *map(wrap, lines), "}"])


def _ended(record: TrialRecord) -> Iterator[str]:
    ended = _ENDED[record.status].capitalize()
    yield f"{ended}: {record.reason}." if record.reason else f"{ended}."
    if took := took_in_words(record):
        yield f"Took {took}."


def _figures(record: TrialRecord, base: Cost) -> Iterator[str]:
    if record.cost is None:
        return
    cost = record.cost
    yield _table(
        ("", "this plan", "baseline", "times fewer"),
        [
            _figure("params", cost.params, base.params),
            _figure("MACs", cost.macs, base.macs),
            _figure("bytes", cost.bytes, base.bytes),
            _figure("effective params", cost.params_effective, base.params_effective),
            _figure("effective FLOPs", cost.flops_effective, base.flops_effective),
            *_chosen(cost, base),
        ],
    )


def _chosen(cost: Cost, base: Cost) -> Iterator[tuple[str, ...]]:
    """What a study minimizes, if that is something of its own."""
    for (name, ours), (_, theirs) in zip(cost.chosen, base.chosen, strict=True):
        if name not in cost.figures():
            yield _figure(name, ours, theirs)


def _figure(name: str, ours: float, theirs: float) -> tuple[str, ...]:
    return name, short(ours), short(theirs), f"{theirs / ours:.1f}" if ours else ""


def _winners(summary: StudySummary) -> str:
    headings = (
        "budget",
        "trial",
        "params",
        "MACs",
        "bytes",
        "drop",
        "retrained",
        "test drop",
        "compression",
    )
    trained = summary.count(TrialStatus.EVALUATED, TrialStatus.EARLY_STOPPED)
    free = summary.count(TrialStatus.REUSED_WEIGHTS)
    table = _table(headings, [_winner(summary, result) for result in summary.results])
    return (
        f"\n{table}\n\n{trained} plans trained, {free} more scored at other bit-widths of the same "
        "networks. **drop** is what the search saw, **retrained** what the plan had when it was "
        "trained again with another seed, **compression** is by effective params."
    )


def _winner(summary: StudySummary, result: BudgetResult) -> tuple[str, ...]:
    winner = result.winner
    if winner is None or winner.cost is None:
        return result.budget.text, *["-"] * 7, "nothing fits"
    test_score = summary.winner_test_score(result)
    return (
        result.budget.text,
        str(winner.number),
        short(winner.cost.params),
        short(winner.cost.macs),
        f"{short(winner.cost.bytes)}B",
        points(winner.drop),
        points(result.retraining.drop if result.retraining else None),
        points(test_score.drop if test_score else None),
        f"{compression(summary.baseline.cost, winner.cost):.1f}x",
    )


def _winner_in_words(summary: StudySummary, result: BudgetResult) -> str:
    winner = result.winner
    if winner is None or winner.cost is None:
        return "nothing fits"
    smaller = compression(summary.baseline.cost, winner.cost)
    return f"trial {winner.number}: {costs(winner.cost)}, {smaller:.1f}x smaller"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, all but its first column to the right.

    The dashboard leaves no room between columns, and Markdown forgets blanks that may break.
    """
    lines = [headings, ["---", *["--:"] * (len(headings) - 1)], *rows]
    return "\n".join(
        f"| {' | '.join([first, *(_apart(cell) for cell in rest)])} |" for first, *rest in lines
    )


def _apart(cell: str) -> str:
    return cell if cell.startswith("--") else f"\u00a0\u00a0\u00a0{cell}"


def _is(winner: TrialRecord | None, record: TrialRecord) -> bool:
    return winner is not None and winner.number == record.number


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
