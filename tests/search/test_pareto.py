"""Fronts and winners, against their definitions."""

import math
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from paredown.objectives.accuracy.budget import Budget
from paredown.objectives.cost.cost import Cost
from paredown.search.results.pareto import budget_result, budget_results, dominated_by, front
from paredown.search.study.storage import Baseline
from paredown.search.study.trial_record import TrialRecord, TrialStatus
from paredown.spaces.plan import Choice, Plan

BASELINE = Baseline(95.0, Cost(1000, 1000.0, 500, 1000.0, 0, 4000), "digest")


def cost_of(params: float, flops: float) -> Cost:
    return Cost(int(params), float(params), int(flops) // 2, float(flops), 0, int(params) * 4)


def record_of(number: int, params: float, flops: float, drop: float | None) -> TrialRecord:
    plan = Plan((Choice("width", f"stage{number}", 0.5),))
    status = TrialStatus.EVALUATED if drop is not None else TrialStatus.DOMINATED
    accuracy = None if drop is None else 95.0 - drop
    return TrialRecord(number, status, plan, cost_of(params, flops), accuracy, drop)


figures = st.tuples(
    st.integers(1, 1500), st.integers(1, 1500), st.one_of(st.none(), st.floats(-2, 8))
)
trials = st.lists(figures, max_size=12).map(
    lambda rows: [record_of(number, *row) for number, row in enumerate(rows)]
)


@given(trials, st.floats(0, 5))
def test_the_front_is_what_no_feasible_plan_beats(
    records: Sequence[TrialRecord], pp: float
) -> None:
    feasible = [r for r in records if r.drop is not None and r.drop <= pp + 1e-9]
    expected = set()
    for record in feasible:
        p, f = record.cost.objectives if record.cost else (0, 0)
        others = [r.cost.objectives for r in feasible if r.cost]
        if not any(q <= p and g <= f and (q, g) != (p, f) for q, g in others):
            expected.add(record.number)
    assert {r.number for r in front(records, Budget(pp))} == expected


@given(trials, st.floats(0, 5))
def test_a_winner_is_feasible_saves_and_has_the_least_relative_cost(
    records: Sequence[TrialRecord], pp: float
) -> None:
    result = budget_result(records, BASELINE, Budget(pp))
    able = [
        r
        for r in records
        if r.drop is not None and r.cost and r.drop <= pp + 1e-9 and r.cost.dominates(BASELINE.cost)
    ]
    if not able:
        assert result.winner is None
        return
    assert result.winner is not None
    assert result.winner.cost is not None
    least = min(math.prod(r.cost.objectives) for r in able if r.cost)
    assert math.isclose(math.prod(result.winner.cost.objectives), least)
    assert result.winner in front(records, Budget(pp)) or any(
        r.cost and not r.cost.dominates(BASELINE.cost) for r in records
    )


@given(trials)
def test_a_larger_budget_never_buys_less(records: Sequence[TrialRecord]) -> None:
    costs = [
        math.prod(v.winner.cost.objectives) if v.winner and v.winner.cost else math.inf
        for v in budget_results(records, BASELINE, [Budget(0), Budget(1), Budget(4)])
    ]
    assert costs == sorted(costs, reverse=True)


def test_the_baseline_wins_nothing() -> None:
    untouched = TrialRecord(0, TrialStatus.EVALUATED, Plan(), BASELINE.cost, 95.0, 0.0)
    result = budget_result([untouched], BASELINE, Budget(5))
    assert result.winner is None
    assert result.closest is None


def test_without_a_winner_the_closest_miss_is_named() -> None:
    records = [record_of(0, 100, 100, 3.0), record_of(1, 500, 500, 1.5), record_of(2, 9, 9, None)]
    result = budget_result(records, BASELINE, Budget(1))
    assert result.winner is None
    assert result.closest is not None
    assert result.closest.number == 1


def test_an_equal_cost_does_not_beat() -> None:
    records = [record_of(0, 100, 100, 0.0)]
    assert dominated_by(records, cost_of(100, 100), Budget(1)) is None
    assert dominated_by(records, cost_of(100, 101), Budget(1)) is records[0]
    assert dominated_by(records, cost_of(99, 200), Budget(1)) is None
