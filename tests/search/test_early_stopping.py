"""Early stopping: a plan stops when its drop on the way leaves it no chance, and not before."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paredown.objectives.accuracy.budget import Budget
from paredown.objectives.evaluation.checkpoints import Rung
from paredown.objectives.training.recipe import Recipe, Recipes
from paredown.search.runner.early_stopping import DOUBT, Outlook, Stopping
from paredown.search.study.trial_record import How, Record
from paredown.spaces.plan import Plan
from scipy.stats import linregress
from scipy.stats import t as student

RECIPES = Recipes(train=Recipe(epochs=10), fine_tune=Recipe(epochs=5))
BUDGETS = (Budget(0.5), Budget(2.0))
WIDTHS = [f"layer{number}" for number in range(40)]


def stopping(records: Sequence[Record] = ()) -> Stopping:
    judge = Stopping(BUDGETS, RECIPES)
    judge.learn(records)
    return judge


def plan_of(number: int, prune: float = 0.0, bits: str = "w32a32") -> Plan:
    """A plan like no other; whether there is such a place does not matter here."""
    return Plan.of(
        {
            "block": {WIDTHS[number]: "ghost"},
            "prune": {"stage1": prune},
            "bits": {"stage1": bits},
        }
    )


def ended(number: int, rung: float, drop: float, prune: float = 0.0) -> Record:
    return Record(number, How.EVALUATED, plan_of(number, prune), drop=drop, rungs={"train 6": rung})


def history(seed: int = 0, noise: float = 0.1, many: int = 12) -> Iterator[Record]:
    """Plans that end with about half of the drop that they have at the rung."""
    rng = np.random.default_rng(seed)
    for number, rung in enumerate(np.linspace(0.5, 12, many)):
        yield ended(number, float(rung), max(0.0, float(rung) / 2 + rng.normal(0, noise)))


def test_it_looks_before_training_on_the_way_and_at_the_end() -> None:
    judge = stopping()
    assert [e for e in range(11) if judge.wants("train", e, 10)] == [0, 6, 10]
    assert [e for e in range(6) if judge.wants("fine-tune", e, 5)] == [0, 3, 5]
    assert judge.wants("assemble", 0, 0)
    assert judge.wants("prune", 0, 0)
    assert not judge.wants("quantize", 1, 5)


def test_it_stops_nothing_before_it_knows_enough() -> None:
    hopeless = Rung("train", 6, 80.0)
    assert not stopping().stops(plan_of(30), hopeless)
    assert not stopping(list(history(many=7))).stops(plan_of(30), hopeless)
    assert stopping(list(history(many=8))).stops(plan_of(30), hopeless)


def test_it_stops_the_hopeless_alone() -> None:
    judge = stopping(list(history()))
    assert judge.stops(plan_of(30), Rung("train", 6, 30.0))
    assert not judge.stops(plan_of(30), Rung("train", 6, 3.0))
    assert not judge.stops(plan_of(30), Rung("train", 6, 4.0))  # it ends at 2, more or less
    assert not judge.stops(plan_of(30), Rung("train", 10, 30.0))  # nothing is known of that rung


def test_plans_that_are_pruned_are_compared_with_their_like() -> None:
    judge = stopping(list(history()))
    assert not judge.stops(plan_of(30, prune=0.5), Rung("train", 6, 30.0))


def test_a_network_ends_with_its_best_bits() -> None:
    records = [
        Record(0, How.EVALUATED, plan_of(0, bits="w4a8"), drop=50.0, rungs={"train 6": 4.0}),
        Record(1, How.SHARED, plan_of(0), drop=1.0),
    ]
    for number, one in enumerate(history(), start=1):
        records.append(
            Record(9 + number, How.EVALUATED, plan_of(number), drop=one.drop, rungs=one.rungs)
        )
    assert not stopping(records).stops(plan_of(30), Rung("train", 6, 4.0))


def test_what_a_stopped_plan_would_have_had_is_more_than_any_budget() -> None:
    judge = stopping(list(history()))
    for drop in (20.0, 30.0, 60.0):
        rung = Rung("train", 6, drop)
        assert judge.stops(plan_of(30), rung)
        assert judge.at_least(plan_of(30), rung) > BUDGETS[-1].max_drop
    assert judge.at_least(plan_of(30), Rung("train", 10, 7.0)) == 7.0


def test_an_outlook_is_the_textbook_regression() -> None:
    rng = np.random.default_rng(3)
    x = rng.uniform(0, 10, 15)
    y = 0.3 * x + rng.normal(0, 0.4, 15) + 1
    outlook, unit = Outlook(list(zip(x, y, strict=True)), unit=2.0), 2.0
    tx, ty = np.arcsinh(x / unit), np.arcsinh(y / unit)
    fit = linregress(tx, ty)
    at, budget = 4.0, 3.0
    residuals = ty - fit.intercept - fit.slope * tx
    noise = math.sqrt(float((residuals**2).sum()) / 13)
    far = (math.asinh(at / unit) - tx.mean()) ** 2 / float(((tx - tx.mean()) ** 2).sum())
    mean = fit.intercept + fit.slope * math.asinh(at / unit)
    scale = noise * math.sqrt(1 + 1 / 15 + far)
    wanted = student.cdf((math.asinh(budget / unit) - mean) / scale, 13)
    assert outlook.chance_within(at, budget) == pytest.approx(wanted)
    least = unit * math.sinh(mean + scale * student.ppf(DOUBT, 13))
    assert outlook.at_least(at, 1 - DOUBT) == pytest.approx(least)


@given(
    st.lists(st.tuples(st.floats(-5, 90), st.floats(-5, 90)), min_size=3, max_size=20),
    st.floats(-5, 90),
    st.floats(0, 20),
)
def test_an_outlook_is_a_probability_whatever_it_is_given(
    pairs: list[tuple[float, float]], drop: float, budget: float
) -> None:
    outlook = Outlook(pairs, unit=max(budget, 1.0))
    assert 0 <= outlook.chance_within(drop, budget) <= 1
    assert math.isfinite(outlook.foretell(drop).mean)


@given(st.floats(0, 40), st.floats(0.1, 10))
def test_who_is_worse_on_the_way_has_no_better_chance(drop: float, more: float) -> None:
    outlook = Outlook([(r.rungs["train 6"], r.drop or 0.0) for r in history()], unit=2.0)
    near, far = outlook.foretell(drop).mean, outlook.foretell(drop + more).mean
    assert far >= near
