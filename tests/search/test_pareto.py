"""Fronts and winners, against their definitions."""

import math
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from paredown.objectives.accuracy.budget import Budget
from paredown.objectives.cost.cost import Cost
from paredown.search.results.pareto import beaten_by, front, verdict, verdicts
from paredown.search.study.storage import Baseline
from paredown.search.study.trial_record import How, Record
from paredown.spaces.plan import Choice, Plan

BASELINE = Baseline(95.0, Cost(1000, 1000.0, 500, 1000.0, 0, 4000), "digest")


def cost_of(params: float, flops: float) -> Cost:
    return Cost(int(params), float(params), int(flops) // 2, float(flops), 0, int(params) * 4)


def record_of(number: int, params: float, flops: float, drop: float | None) -> Record:
    plan = Plan((Choice("width", f"stage{number}", 0.5),))
    how = How.EVALUATED if drop is not None else How.BEATEN
    accuracy = None if drop is None else 95.0 - drop
    return Record(number, how, plan, cost_of(params, flops), accuracy, drop)


figures = st.tuples(
    st.integers(1, 1500), st.integers(1, 1500), st.one_of(st.none(), st.floats(-2, 8))
)
trials = st.lists(figures, max_size=12).map(
    lambda rows: [record_of(number, *row) for number, row in enumerate(rows)]
)


@given(trials, st.floats(0, 5))
def test_the_front_is_what_no_feasible_plan_beats(records: Sequence[Record], pp: float) -> None:
    feasible = [r for r in records if r.drop is not None and r.drop <= pp + 1e-9]
    expected = set()
    for one in feasible:
        p, f = one.cost.objectives if one.cost else (0, 0)
        others = [r.cost.objectives for r in feasible if r.cost]
        if not any(q <= p and g <= f and (q, g) != (p, f) for q, g in others):
            expected.add(one.number)
    assert {r.number for r in front(records, Budget(pp))} == expected


@given(trials, st.floats(0, 5))
def test_a_winner_is_feasible_saves_and_has_the_least_relative_cost(
    records: Sequence[Record], pp: float
) -> None:
    found = verdict(records, BASELINE, Budget(pp))
    able = [
        r
        for r in records
        if r.drop is not None and r.cost and r.drop <= pp + 1e-9 and r.cost.beats(BASELINE.cost)
    ]
    if not able:
        assert found.winner is None
        return
    assert found.winner is not None
    assert found.winner.cost is not None
    least = min(math.prod(r.cost.objectives) for r in able if r.cost)
    assert math.isclose(math.prod(found.winner.cost.objectives), least)
    assert found.winner in front(records, Budget(pp)) or any(
        r.cost and not r.cost.beats(BASELINE.cost) for r in records
    )


@given(trials)
def test_a_larger_budget_never_buys_less(records: Sequence[Record]) -> None:
    costs = [
        math.prod(v.winner.cost.objectives) if v.winner and v.winner.cost else math.inf
        for v in verdicts(records, BASELINE, [Budget(0), Budget(1), Budget(4)])
    ]
    assert costs == sorted(costs, reverse=True)


def test_the_baseline_wins_nothing() -> None:
    untouched = Record(0, How.EVALUATED, Plan(), BASELINE.cost, 95.0, 0.0)
    found = verdict([untouched], BASELINE, Budget(5))
    assert found.winner is None
    assert found.closest is None


def test_without_a_winner_the_closest_miss_is_named() -> None:
    records = [record_of(0, 100, 100, 3.0), record_of(1, 500, 500, 1.5), record_of(2, 9, 9, None)]
    found = verdict(records, BASELINE, Budget(1))
    assert found.winner is None
    assert found.closest is not None
    assert found.closest.number == 1


def test_an_equal_cost_does_not_beat() -> None:
    records = [record_of(0, 100, 100, 0.0)]
    assert beaten_by(records, cost_of(100, 100), Budget(1)) is None
    assert beaten_by(records, cost_of(100, 101), Budget(1)) is records[0]
    assert beaten_by(records, cost_of(99, 200), Budget(1)) is None
