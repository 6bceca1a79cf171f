"""Notes that the dashboard shows beside a study and its trials."""

import hashlib
import warnings
from collections.abc import Iterator, Sequence

import optuna
import optuna_dashboard

from ..objectives.cost import Cost
from ..objectives.evaluator import Evaluator
from .answers import Answer
from .config import StudyConfig
from .record import How, Record
from .storage import OBJECTIVES, Baseline
from .tables import points, short
from .winners import Verdict, times_smaller

_WRITTEN = "note_digest"

_HOW_TO_READ = "\n## How to read it\n"
_BUYS = "\n## What the budgets buy\n"

_STUDY_NOTE = (
    """\
# How far can {model} be pared down on {data}?

| | |
|---|---|
| Model | {model}: {baseline} |
| Images | {train:,} to train, {search:,} to score plans, {test:,} to test winners; \
{classes} classes |
| Baseline | {accuracy:.2f} % on the images that score plans |
| Budgets | {budgets} of drop |
| Space | {size:,} plans |
| Seed | {seed} |
"""
    + _HOW_TO_READ
    + """
- **Objectives**, both minimized: effective params and effective FLOPs. A b-bit parameter counts \
b/32, an operation max(weight bits, activation bits)/32.
- **Drop** is the baseline's accuracy minus the plan's, in percentage points; a trial has it as \
`drop_pp`.
- **Constraint**: the drop beyond the largest budget. A trial above 0 is infeasible.
- A trial that was not trained says why in its note: a feasible plan costs less, or it had been \
seen before.
- The dashboard's "best trials" know the largest budget alone. For each budget ask \
`paredown best {name}`.
"""
)

_ENDED = {
    How.EVALUATED: "trained and scored",
    How.SHARED: "scored",
    How.REPEATED: "not trained",
    How.HOPELESS: "stopped early",
    How.BEATEN: "not trained",
    How.FAILED: "failed",
    How.STOPPED: "stopped",
    How.RUNNING: "running",
}


def describe_study(
    study: optuna.Study, config: StudyConfig, evaluator: Evaluator, baseline: Baseline
) -> None:
    """Name a study's objectives and say what it is about; what the user wrote there stays."""
    splits = evaluator.task.splits
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(OBJECTIVES)
    note = _STUDY_NOTE.format(
        name=config.name,
        model=evaluator.task.made_by.name,
        data=splits.name,
        baseline=costs(baseline.cost),
        train=len(splits.train),
        search=len(splits.search),
        test=len(splits.test),
        classes=evaluator.task.classes,
        accuracy=baseline.accuracy,
        budgets=", ".join(budget.text for budget in config.max_drop),
        size=evaluator.space.size,
        seed=config.seed,
    )
    there = optuna_dashboard.get_note(study)
    if not there or study.user_attrs.get(_WRITTEN) == _digest(there) != _digest(note):
        optuna_dashboard.save_note(study, note)
        study.set_user_attr(_WRITTEN, _digest(note))


def with_winners(note: str, answer: Answer) -> str:
    """A study's note with what its budgets buy by now, unless the user made it another one."""
    if _BUYS in note or _HOW_TO_READ not in note:
        return note
    return note.replace(_HOW_TO_READ, f"{_BUYS}{_winners(answer)}\n{_HOW_TO_READ}", 1)


def trial_note(record: Record, answer: Answer) -> str:
    """What a trial proposed in words, what it costs, and how it did."""
    parts = [*_proposed(record), *_figures(record, answer)]
    won = [one.budget.text for one in answer.verdicts if _is(one.winner, record)]
    if won:
        parts.insert(0, f"### Wins {', '.join(won)}")
    if took := took_in_words(record):
        parts.append(f"Took {took}.")
    return "\n\n".join(parts)


def costs(cost: Cost) -> str:
    """The raw figures of a cost in words."""
    return f"{short(cost.params)} params, {short(cost.macs)} MACs, {short(cost.bytes)}B"


def took_in_words(record: Record) -> str:
    """How long the stages of a trial took; empty if it had none."""
    return ", ".join(
        f"{took:.1f} s to {stage}" for stage, took in record.seconds.items() if took >= 0.05
    )


def _proposed(record: Record) -> Iterator[str]:
    """The plan, a line for each kind of choice."""
    if record.plan is not None:
        yield "\n".join(f"- {said}" for said in record.plan.describe().split("; "))
    if record.removed is not None:
        yield f"{record.removed.text}."


def _figures(record: Record, answer: Answer) -> Iterator[str]:
    ended = f"**{_ENDED[record.how].capitalize()}**"
    yield f"{ended}: {record.why}." if record.why else f"{ended}."
    if record.cost is None:
        return
    base, cost = answer.baseline.cost, record.cost
    rows = [
        "| | this plan | baseline | times fewer |",
        "|---|--:|--:|--:|",
        _row("params", cost.params, base.params),
        _row("MACs", cost.macs, base.macs),
        _row("bytes", cost.bytes, base.bytes),
        _row("effective params", cost.params_effective, base.params_effective),
        _row("effective FLOPs", cost.flops_effective, base.flops_effective),
    ]
    if record.accuracy is not None:
        rows.append(
            f"| accuracy | {record.accuracy:.2f} % | {answer.baseline.accuracy:.2f} % | "
            f"drop {points(record.drop)} |"
        )
    elif record.at_least is not None:
        rows.append(f"| drop | {points(record.at_least)} or more | | |")
    yield "\n".join(rows)


def _row(name: str, ours: float, theirs: float) -> str:
    return f"| {name} | {short(ours)} | {short(theirs)} | {theirs / ours:.1f} |"


def _winners(answer: Answer) -> str:
    rows = [
        "| budget | trial | params | MACs | bytes | drop | again | test drop | smaller |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
        *(_winner(answer, verdict) for verdict in answer.verdicts),
    ]
    trained = answer.count(How.EVALUATED, How.HOPELESS)
    free = answer.count(How.SHARED)
    so_far = (
        f"{trained} plans trained, {free} more scored at other bit-widths of the same networks."
    )
    return "\n" + "\n".join(rows) + f"\n\n{so_far}"


def _winner(answer: Answer, verdict: Verdict) -> str:
    winner = verdict.winner
    if winner is None or winner.cost is None:
        return f"| {verdict.budget.text} | nothing fits | | | | | | | |"
    tested = answer.tested_winner(verdict)
    cells: Sequence[str] = (
        verdict.budget.text,
        str(winner.number),
        short(winner.cost.params),
        short(winner.cost.macs),
        f"{short(winner.cost.bytes)}B",
        points(winner.drop),
        points(verdict.final.drop if verdict.final else None),
        points(tested.drop if tested else None),
        f"{times_smaller(answer.baseline.cost, winner.cost):.1f}x",
    )
    return f"| {' | '.join(cells)} |"


def _is(winner: Record | None, record: Record) -> bool:
    return winner is not None and winner.number == record.number


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
