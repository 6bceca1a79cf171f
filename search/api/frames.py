"""A study's trials and fronts as pandas DataFrames."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas

from ..results.pareto import front, times_smaller
from ..results.summary import Answer
from ..study.trial_record import Record

_COSTS = ("params", "params_effective", "macs", "flops", "flops_effective", "bops", "bytes")

FRONT = (
    "max_drop",
    "trial",
    "plan",
    *_COSTS,
    "times_smaller",
    "accuracy",
    "drop",
    "is_winner",
)
"""The columns of `front_frame`, before those of the study's own objectives."""

TRIALS = ("trial", "how", "plan", *_COSTS, "times_smaller", "accuracy", "drop", "seconds", "why")
"""The columns of `trials_frame`."""


def front_frame(answer: Answer) -> pandas.DataFrame:
    """The front of each budget of an answer, the smallest plan first; see `FRONT`.

    A row is a plan within a budget that no other within it beats: `max_drop` says which. Accuracies
    are percent and drops percentage points on the search split, as the search saw them.
    """
    rows = [
        {
            "max_drop": verdict.budget.max_drop,
            "is_winner": verdict.winner is not None and verdict.winner.plan == record.plan,
            **_figures(answer, record),
        }
        for verdict in answer.verdicts
        for record in front(answer.records, verdict.budget)
    ]
    return _frame(answer, rows, FRONT)


def trials_frame(answer: Answer) -> pandas.DataFrame:
    """All trials in their order, whatever became of them; see `TRIALS` and `record.How`."""
    rows = [
        {
            "how": str(record.how),
            "seconds": sum(record.seconds.values()),
            "why": record.why,
            **_figures(answer, record),
        }
        for record in answer.records
    ]
    return _frame(answer, rows, TRIALS)


def _figures(answer: Answer, record: Record) -> dict[str, Any]:
    said: dict[str, Any] = {
        "trial": record.number,
        "plan": record.plan.describe() if record.plan else None,
        "accuracy": record.accuracy,
        "drop": record.drop,
    }
    if record.cost is None:
        return said
    smaller = times_smaller(answer.baseline.cost, record.cost)
    return said | dict(record.cost.chosen) | record.cost.to_dict() | {"times_smaller": smaller}


def _frame(
    answer: Answer, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]
) -> pandas.DataFrame:
    own = [name for name, _ in answer.baseline.cost.chosen if name not in columns]
    return pandas.DataFrame(list(rows), columns=[*columns, *own])
