"""Finalists: who is trained again, and what that settles."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from paredown.objectives.accuracy.budget import Budget
from paredown.objectives.cost.cost import Cost
from paredown.search.results.finalists import next_finalist, proven_verdict
from paredown.search.results.pareto import relative_cost, verdict
from paredown.search.study.retrainings import Final
from paredown.search.study.storage import Baseline
from paredown.search.study.trial_record import How, Record
from paredown.spaces.plan import Choice, Plan

BASELINE = Baseline(95.0, Cost(1000, 1000.0, 500, 1000.0, 0, 4000), "digest")
Truth = Mapping[Plan, float | None]


def record_of(number: int, size: float, drop: float) -> Record:
    plan = Plan((Choice("width", f"stage{number}", 0.5),))
    cost = Cost(int(size), float(size), int(size) // 2, float(size), 0, int(size) * 4)
    return Record(number, How.EVALUATED, plan, cost, 95.0 - drop, drop)


def settle(
    records: Sequence[Record], truth: Truth, budgets: Sequence[Budget], most: int
) -> list[Final]:
    """Train finalists again until every budget is settled."""
    finals = list[Final]()
    for budget in budgets:
        while found := next_finalist(records, finals, BASELINE.cost, budget, most):
            assert found.plan is not None
            assert found.drop is not None
            again = truth[found.plan]
            accuracy = None if again is None else 95 - again
            finals.append(Final(found.plan, 1, accuracy, again, found.drop))
    return finals


@st.composite
def searches(draw: st.DrawFn) -> tuple[list[Record], Truth]:
    drops = st.floats(-2, 6)
    rows = draw(st.lists(st.tuples(st.integers(1, 1500), drops, st.none() | drops), max_size=14))
    records = [record_of(number, size, drop) for number, (size, drop, _) in enumerate(rows)]
    truth = {one.plan: row[2] for one, row in zip(records, rows, strict=True) if one.plan}
    return records, truth


@given(searches(), st.integers(1, 4))
def test_every_budget_is_settled_by_few_finalists(
    search: tuple[list[Record], Truth], most: int
) -> None:
    records, truth = search
    budgets = [Budget(0.5), Budget(2)]
    finals = settle(records, truth, budgets, most)
    assert len({final.plan for final in finals}) == len(finals), "nobody is trained twice"
    by_plan = {record.plan: record for record in records}
    for budget in budgets:
        within = [f for f in finals if budget.allows(f.searched)]
        assert sum(not final.holds(budget) for final in within) <= most + len(budgets)
        found = proven_verdict(records, finals, BASELINE, budget, most)
        if found.winner is None:
            assert not any(final.holds(budget) for final in finals)
            continue
        assert found.final is not None
        assert found.final.plan == found.winner.plan
        assert found.final.holds(budget)
        costs = [
            relative_cost(BASELINE.cost, cost)
            for final in finals
            if final.holds(budget) and (cost := by_plan[final.plan].cost)
        ]
        assert found.winner.cost is not None
        assert relative_cost(BASELINE.cost, found.winner.cost) == min(costs)


def test_the_cheapest_whose_drop_holds_wins() -> None:
    records = [record_of(0, 100, 0.4), record_of(1, 200, 0.3), record_of(2, 300, -1.0)]
    truth = {
        one.plan: drop for one, drop in zip(records, (2.0, 0.4, -2.5), strict=True) if one.plan
    }
    finals = settle(records, truth, [Budget(0.5)], most=4)
    # The first lost 1.6 points more, which the second could not bear. The third is the safest, and
    # gains 1.5: so the second is worth a try again.
    assert [final.plan for final in finals] == [records[0].plan, records[2].plan, records[1].plan]
    found = proven_verdict(records, finals, BASELINE, Budget(0.5), 4)
    assert found.winner is records[1]


def test_luck_that_does_not_hold_leaves_the_closest_miss() -> None:
    records = [record_of(0, 100, 0.4), record_of(1, 200, 0.3)]
    truth = {one.plan: drop for one, drop in zip(records, (3.0, 2.0), strict=True) if one.plan}
    finals = settle(records, truth, [Budget(0.5)], most=4)
    found = proven_verdict(records, finals, BASELINE, Budget(0.5), 4)
    assert found.winner is None
    assert found.closest is records[1]
    assert found.missed_by == 2.0


def test_what_trains_nothing_has_its_turn_whatever_failed_before() -> None:
    lucky = [record_of(number, 100 + number, 0.4) for number in range(3)]
    rounded = Plan((Choice("bits", "stem", "w8a8"),))
    assert not rounded.is_trained
    cost = Cost(500, 500.0, 250, 500.0, 0, 2000)
    steady = Record(3, How.SHARED, rounded, cost, 94.55, 0.45)
    truth: dict[Plan, float | None] = {one.plan: 3.0 for one in lucky if one.plan}
    truth[rounded] = 0.45
    records = [*lucky, steady]
    finals = settle(records, truth, [Budget(0.5)], most=2)
    assert [final.plan for final in finals][-1] == rounded
    assert len(finals) == 3, "the third that is trained has no turn any more"
    assert proven_verdict(records, finals, BASELINE, Budget(0.5), 2).winner is steady


def test_a_budget_that_is_not_settled_is_answered_by_the_search() -> None:
    records = [record_of(0, 100, 0.4), record_of(1, 50, 1.5)]
    truth = {one.plan: drop for one, drop in zip(records, (0.4, 1.5), strict=True) if one.plan}
    finals = settle(records, truth, [Budget(0.5)], most=2)
    assert proven_verdict(records, finals, BASELINE, Budget(0.5), 2).final is not None
    other = proven_verdict(records, finals, BASELINE, Budget(2), 2)
    assert other == verdict(records, BASELINE, Budget(2))
    assert other.final is None
    assert proven_verdict(records, finals, BASELINE, Budget(0.5), 0).final is None


def test_a_search_trains_its_finalists_again(run: Callable[..., Any], folder: Any) -> None:
    study = folder / "tiny.toml"
    study.write_text(study.read_text().replace("finalists = 0", "finalists = 2"))
    said = run("search", "tiny.toml", "--json")
    assert said.code in (0, 3), said.err
    found = json.loads(said.out)
    assert "trained again" in said.err
    proven = [one for one in found["budgets"] if one["feasible"]]
    assert proven
    for one in proven:
        assert one["final"]["seed"] == 4  # of the study, and one more
        assert one["final"]["drop"] <= one["max_drop"]
        assert one["test"]["images"] == 360
        assert one["word"] in ("within", "likely", "over")
    assert found["test_looks"] == len({json.dumps(one["plan"]) for one in proven})
    again = run("search", "tiny.toml", "--json")
    assert "trained again" not in again.err
    assert json.loads(again.out)["budgets"] == found["budgets"]
    assert "again" in run("best", "tiny").out
