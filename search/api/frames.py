"""A study's trials and Pareto fronts as pandas DataFrames."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas

from ..results.pareto import compression, front
from ..results.summary import StudySummary
from ..study.trial_record import TrialRecord

_COSTS = ("params", "params_effective", "macs", "flops", "flops_effective", "bops", "bytes")

FRONT = (
    "max_drop",
    "trial",
    "plan",
    *_COSTS,
    "compression",
    "accuracy",
    "drop",
    "is_winner",
)
"""The columns of `front_frame`, before those of the study's own objectives."""

TRIALS = (
    "trial",
    "status",
    "plan",
    *_COSTS,
    "compression",
    "accuracy",
    "drop",
    "seconds",
    "reason",
)
"""The columns of `trials_frame`."""


def front_frame(summary: StudySummary) -> pandas.DataFrame:
    """The Pareto front of each budget of a summary, smallest plan first; columns as in `FRONT`.

    Accuracies are in percent and drops in percentage points, on the search split. A plan has a row
    for each budget (`max_drop`) on whose front it is.
    """
    rows = [
        {
            "max_drop": result.budget.max_drop,
            "is_winner": result.winner is not None and result.winner.plan == record.plan,
            **_figures(summary, record),
        }
        for result in summary.results
        for record in front(summary.records, result.budget)
    ]
    return _frame(summary, rows, FRONT)


def trials_frame(summary: StudySummary) -> pandas.DataFrame:
    """All trials in order, of any `TrialStatus`; columns as in `TRIALS`."""
    rows = [
        {
            "status": str(record.status),
            "seconds": sum(record.seconds.values()),
            "reason": record.reason,
            **_figures(summary, record),
        }
        for record in summary.records
    ]
    return _frame(summary, rows, TRIALS)


def _figures(summary: StudySummary, record: TrialRecord) -> dict[str, Any]:
    data: dict[str, Any] = {
        "trial": record.number,
        "plan": record.plan.describe() if record.plan else None,
        "accuracy": record.accuracy,
        "drop": record.drop,
    }
    if record.cost is None:
        return data
    smaller = compression(summary.baseline.cost, record.cost)
    return data | dict(record.cost.chosen) | record.cost.to_dict() | {"compression": smaller}


def _frame(
    summary: StudySummary, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]
) -> pandas.DataFrame:
    own = [name for name, _ in summary.baseline.cost.chosen if name not in columns]
    return pandas.DataFrame(list(rows), columns=[*columns, *own])
