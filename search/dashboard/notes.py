"""The dashboard's notes on a study and its trials."""

import hashlib
import json
import textwrap
from collections.abc import Iterator, Sequence
from functools import partial

import optuna

from ...objectives.cost.cost import Cost
from ...objectives.cost.objective import OBJECTIVES
from ...spaces.plan import Plan
from ..formatting import cost_in_words, points, short
from ..isolation.backend import TaskSummary
from ..results.pareto import BudgetResult, compression
from ..results.summary import StudySummary
from ..study.attributes import NOTE_DIGEST
from ..study.config import StudyConfig
from ..study.storage import Baseline
from ..study.trial_record import TrialRecord, TrialStatus

_WIDTH = 80
"""Characters per line of code, as the longest line determines the width of the page."""

_HOW_TO_READ = "\n## How to read it\n"
_BUYS = "\n## What the budgets buy\n"

_STUDY_NOTE = (
    """\
# Compression of {model} on {data}

| | |
|---|---|
| Model | {model}: {baseline} |
| Images | {images}; {classes} classes |
| Baseline | {accuracy:.2f} % {metric} on the search split |
| Budgets | drop of {budgets} |
| Search space | {size:,} plans |
| Seed | {seed} |
"""
    + _HOW_TO_READ
    + """
- **Objectives**, minimized: {objectives}. Effective: a b-bit parameter counts b/32, an operation \
max(weight bits, activation bits)/32.
- **Drop**: the baseline's {metric} minus the plan's, in percentage points; attribute `drop_pp` of \
a trial.
- **Constraint**: the drop minus the largest budget. A trial above 0 is infeasible.
- The note of a trial that was not trained has the reason: it is dominated, or it repeats an \
earlier trial.
- **Best trials** are the Pareto front of the largest budget. `paredown best {name}` shows the \
winner of any budget, `paredown ablate {name}` what each of its techniques saves and costs.
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
    """Write the note of a study, unless the user has edited it."""
    import optuna_dashboard  # deferred: it takes 90 MB of memory, needed only at the end

    titles = [OBJECTIVES.get(name).title for name in config.objectives]
    note = _STUDY_NOTE.format(
        name=config.name,
        model=task.model,
        data=task.data,
        baseline=cost_in_words(baseline.cost),
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
    """A study's note with the current winners, unless the user has replaced the note."""
    if _BUYS in note or _HOW_TO_READ not in note:
        return note
    return note.replace(_HOW_TO_READ, f"{_BUYS}{_winners(summary)}\n{_HOW_TO_READ}", 1)


def trial_note(record: TrialRecord, summary: StudySummary) -> str:
    """The note of a trial: plan, cost and result."""
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
    """Baseline and winners of a study in words, as attributes."""
    base = summary.baseline
    data = {"baseline": f"{base.accuracy:.2f} %, {cost_in_words(base.cost)}"}
    for result in summary.results:
        data[f"within {result.budget.text}"] = _winner_in_words(summary, result)
    return data


def in_words(record: TrialRecord) -> Iterator[tuple[str, str]]:
    """Cost, drop and duration of a trial in words: (name, text)."""
    if record.cost is not None:
        yield "cost", cost_in_words(record.cost)
    if record.drop is not None:
        yield "drop", f"{points(record.drop)} pp"
    if record.seconds:
        yield "duration", f"{sum(record.seconds.values()):.1f} s"


def took_in_words(record: TrialRecord) -> str:
    """Durations of a trial's stages in words; empty if it had none."""
    return ", ".join(
        f"{took:.1f} s to {stage}" for stage, took in record.seconds.items() if took >= 0.05
    )


def _proposed(record: TrialRecord) -> Iterator[str]:
    """The plan, one line per technique."""
    if record.plan is not None:
        yield "\n".join(f"- {text}" for text in record.plan.describe().split("; "))
    if record.pruned_share is not None:
        text = record.pruned_share.text
        yield f"{text[:1].upper()}{text[1:]}."


def _did(record: TrialRecord, summary: StudySummary) -> Iterator[str]:
    """The budgets that a trial has won, and its drops."""
    won = [result for result in summary.results if _is(result.winner, record)]
    if won:
        yield f"### Winner for {', '.join(result.budget.text for result in won)}"
    if record.accuracy is not None:
        base = summary.baseline.accuracy
        text = f"**Drop {points(record.drop)} pp**: {record.accuracy:.2f} %, baseline {base:.2f} %"
        yield "; ".join([text, *(_measured_again(won[0], summary) if won else ())])
    elif record.drop_lower_bound is not None:
        yield f"**Drop {points(record.drop_lower_bound)} pp or more**"


def _measured_again(result: BudgetResult, summary: StudySummary) -> Iterator[str]:
    test_score = summary.winner_test_score(result)
    if result.retraining:
        yield f"{points(result.retraining.drop)} retrained"
    if test_score:
        yield f"{points(test_score.drop)} on the test split"


def _as_json(record: TrialRecord) -> Iterator[str]:
    if record.plan is not None:
        yield f"The plan for `--plan` and `--start`:\n\n```json\n{_wrapped(record.plan)}\n```"


def _wrapped(plan: Plan) -> str:
    """A plan as JSON, wrapped to `_WIDTH`."""
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
        ("", "plan", "baseline", "ratio"),
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
    """A study's own objectives."""
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
        f"\n{table}\n\n{trained} plans trained, {free} more scored with the same weights at other "
        "bit-widths. **drop**: in the search; **retrained**: after retraining with a new seed; "
        "**compression**: ratio of effective params."
    )


def _winner(summary: StudySummary, result: BudgetResult) -> tuple[str, ...]:
    winner = result.winner
    if winner is None or winner.cost is None:
        return result.budget.text, *["-"] * 7, "not feasible"
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
        return "not feasible"
    ratio = compression(summary.baseline.cost, winner.cost)
    return f"trial {winner.number}: {cost_in_words(winner.cost)}, {ratio:.1f}x compression"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, right-aligned but for the first column.

    Cells start with non-breaking spaces, as the dashboard renders columns without padding.
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
