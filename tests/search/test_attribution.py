"""What costs a plan most, against drops that are made of known parts."""

from itertools import product

import pytest
from paredown.search.results.attribution import costliest
from paredown.search.study.trial_record import How, Record
from paredown.spaces.plan import Plan

BLOCKS = {"original": 0.0, "separable": 2.0, "ghost": 0.7}
PRUNES = {0.0: 0.0, 0.25: 0.1, 0.5: 0.6}
BITS = {"w32a32": 0.0, "w8a8": -0.1, "w4a8": 0.4}


def trial(number: int, block: str, prune: float, bits: str) -> Record:
    """One whose drop is the sum of what its choices cost."""
    at = "stage1"
    plan = Plan.of({"block": {at: block}, "prune": {at: prune}, "bits": {at: bits}})
    drop = BLOCKS[block] + PRUNES[prune] + BITS[bits]
    return Record(number, How.EVALUATED, plan, accuracy=90 - drop, drop=drop)


EVERY = [trial(number, *chosen) for number, chosen in enumerate(product(BLOCKS, PRUNES, BITS))]
WORST = trial(99, "separable", 0.5, "w4a8")


def test_the_same_plan_without_it_says_what_a_technique_costs() -> None:
    (without,) = (one for one in EVERY if one.plan == trial(0, "original", 0.5, "w4a8").plan)
    said = costliest(WORST, EVERY)
    assert said is not None
    assert (said.technique, said.without, said.trials) == ("block", without.number, 0)
    assert said.points == pytest.approx(2.0)


def test_without_such_a_plan_a_model_of_the_others_says_it() -> None:
    alone = [one for one in EVERY if one.plan and len(one.plan.choices) != 2]
    said = costliest(WORST, [one for one in alone if one.plan != WORST.plan])
    assert said is not None
    assert (said.technique, said.without) == ("block", None)
    assert said.points == pytest.approx(2.0, abs=0.5)
    assert said.trials >= 8


def test_the_only_technique_costs_all() -> None:
    missed = trial(0, "separable", 0.0, "w32a32")
    said = costliest(missed, [missed])
    assert said is not None
    assert (said.technique, said.trials) == ("block", 0)
    assert said.points == pytest.approx(2.0)


def test_of_few_trials_nothing_is_said() -> None:
    missed = trial(0, "separable", 0.5, "w8a8")
    assert costliest(missed, [missed]) is None


def test_what_gains_is_not_blamed() -> None:
    missed = trial(0, "original", 0.0, "w8a8")
    assert costliest(missed, [missed]) is None
