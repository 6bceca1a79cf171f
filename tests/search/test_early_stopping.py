"""Early stopping: a plan stops when its drop on the way leaves it no chance, and not before."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paredown.objectives.accuracy.budget import Budget
from paredown.objectives.evaluation.checkpoints import Checkpoint
from paredown.objectives.training.recipe import Recipe, Recipes
from paredown.search.runner.early_stopping import MIN_CHANCE, BudgetEarlyStopper, DropRegression
from paredown.search.study.trial_record import TrialRecord, TrialStatus
from paredown.spaces.plan import Plan
from scipy.stats import linregress
from scipy.stats import t as student

RECIPES = Recipes(train=Recipe(epochs=10), fine_tune=Recipe(epochs=5))
BUDGETS = (Budget(0.5), Budget(2.0))
WIDTHS = [f"layer{number}" for number in range(40)]


def stopping(records: Sequence[TrialRecord] = ()) -> BudgetEarlyStopper:
    early_stopper = BudgetEarlyStopper(BUDGETS, RECIPES)
    early_stopper.learn(records)
    return early_stopper


def plan_of(number: int, prune: float = 0.0, bits: str = "w32a32") -> Plan:
    """A plan like no other; whether there is such a place does not matter here."""
    return Plan.of(
        {
            "block": {WIDTHS[number]: "ghost"},
            "prune": {"stage1": prune},
            "bits": {"stage1": bits},
        }
    )


def ended(number: int, checkpoint: float, drop: float, prune: float = 0.0) -> TrialRecord:
    return TrialRecord(
        number,
        TrialStatus.EVALUATED,
        plan_of(number, prune),
        drop=drop,
        checkpoints={"train 6": checkpoint},
    )


def history(seed: int = 0, noise: float = 0.1, many: int = 12) -> Iterator[TrialRecord]:
    """Plans that end with about half of the drop that they have at the checkpoint."""
    rng = np.random.default_rng(seed)
    for number, checkpoint in enumerate(np.linspace(0.5, 12, many)):
        yield ended(
            number, float(checkpoint), max(0.0, float(checkpoint) / 2 + rng.normal(0, noise))
        )


def test_it_looks_before_training_on_the_way_and_at_the_end() -> None:
    early_stopper = stopping()
    assert [e for e in range(11) if early_stopper.should_check("train", e, 10)] == [0, 6, 10]
    assert [e for e in range(6) if early_stopper.should_check("fine-tune", e, 5)] == [0, 3, 5]
    assert early_stopper.should_check("assemble", 0, 0)
    assert early_stopper.should_check("prune", 0, 0)
    assert not early_stopper.should_check("quantize", 1, 5)


def test_it_stops_nothing_before_it_knows_enough() -> None:
    hopeless = Checkpoint("train", 6, 80.0)
    assert not stopping().should_stop(plan_of(30), hopeless)
    assert not stopping(list(history(many=7))).should_stop(plan_of(30), hopeless)
    assert stopping(list(history(many=8))).should_stop(plan_of(30), hopeless)


def test_it_stops_the_stopped_early_alone() -> None:
    early_stopper = stopping(list(history()))
    assert early_stopper.should_stop(plan_of(30), Checkpoint("train", 6, 30.0))
    assert not early_stopper.should_stop(plan_of(30), Checkpoint("train", 6, 3.0))
    assert not early_stopper.should_stop(
        plan_of(30), Checkpoint("train", 6, 4.0)
    )  # it ends at 2, more or less
    assert not early_stopper.should_stop(
        plan_of(30), Checkpoint("train", 10, 30.0)
    )  # nothing is known of that checkpoint


def test_plans_that_are_pruned_are_compared_with_their_like() -> None:
    early_stopper = stopping(list(history()))
    assert not early_stopper.should_stop(plan_of(30, prune=0.5), Checkpoint("train", 6, 30.0))


def test_a_network_ends_with_its_best_bits() -> None:
    records = [
        TrialRecord(
            0,
            TrialStatus.EVALUATED,
            plan_of(0, bits="w4a8"),
            drop=50.0,
            checkpoints={"train 6": 4.0},
        ),
        TrialRecord(1, TrialStatus.REUSED_WEIGHTS, plan_of(0), drop=1.0),
    ]
    for number, record in enumerate(history(), start=1):
        records.append(
            TrialRecord(
                9 + number,
                TrialStatus.EVALUATED,
                plan_of(number),
                drop=record.drop,
                checkpoints=record.checkpoints,
            )
        )
    assert not stopping(records).should_stop(plan_of(30), Checkpoint("train", 6, 4.0))


def test_what_a_stopped_plan_would_have_had_is_more_than_any_budget() -> None:
    early_stopper = stopping(list(history()))
    for drop in (20.0, 30.0, 60.0):
        checkpoint = Checkpoint("train", 6, drop)
        assert early_stopper.should_stop(plan_of(30), checkpoint)
        assert early_stopper.drop_lower_bound(plan_of(30), checkpoint) > BUDGETS[-1].max_drop
    assert early_stopper.drop_lower_bound(plan_of(30), Checkpoint("train", 10, 7.0)) == 7.0


def test_an_outlook_is_the_textbook_regression() -> None:
    rng = np.random.default_rng(3)
    x = rng.uniform(0, 10, 15)
    y = 0.3 * x + rng.normal(0, 0.4, 15) + 1
    regression, unit = DropRegression(list(zip(x, y, strict=True)), unit=2.0), 2.0
    tx, ty = np.arcsinh(x / unit), np.arcsinh(y / unit)
    fit = linregress(tx, ty)
    at, budget = 4.0, 3.0
    residuals = ty - fit.intercept - fit.slope * tx
    noise = math.sqrt(float((residuals**2).sum()) / 13)
    far = (math.asinh(at / unit) - tx.mean()) ** 2 / float(((tx - tx.mean()) ** 2).sum())
    mean = fit.intercept + fit.slope * math.asinh(at / unit)
    scale = noise * math.sqrt(1 + 1 / 15 + far)
    wanted = student.cdf((math.asinh(budget / unit) - mean) / scale, 13)
    assert regression.chance_within(at, budget) == pytest.approx(wanted)
    least = unit * math.sinh(mean + scale * student.ppf(MIN_CHANCE, 13))
    assert regression.lower_bound(at, 1 - MIN_CHANCE) == pytest.approx(least)


@given(
    st.lists(st.tuples(st.floats(-5, 90), st.floats(-5, 90)), min_size=3, max_size=20),
    st.floats(-5, 90),
    st.floats(0, 20),
)
def test_an_outlook_is_a_probability_whatever_it_is_given(
    pairs: list[tuple[float, float]], drop: float, budget: float
) -> None:
    regression = DropRegression(pairs, unit=max(budget, 1.0))
    assert 0 <= regression.chance_within(drop, budget) <= 1
    assert math.isfinite(regression.predict(drop).mean)


@given(st.floats(0, 40), st.floats(0.1, 10))
def test_who_is_worse_on_the_way_has_no_better_chance(drop: float, more: float) -> None:
    regression = DropRegression(
        [(r.checkpoints["train 6"], r.drop or 0.0) for r in history()], unit=2.0
    )
    near, far = regression.predict(drop).mean, regression.predict(drop + more).mean
    assert far >= near
