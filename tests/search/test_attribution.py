"""What costs a plan most, against drops that are made of known parts."""

from itertools import product

import pytest
from paredown.search.results.attribution import costliest
from paredown.search.study.trial_record import TrialRecord, TrialStatus
from paredown.spaces.plan import Plan

BLOCKS = {"original": 0.0, "separable": 2.0, "ghost": 0.7}
PRUNES = {0.0: 0.0, 0.25: 0.1, 0.5: 0.6}
BITS = {"w32a32": 0.0, "w8a8": -0.1, "w4a8": 0.4}


def trial(number: int, block: str, prune: float, bits: str) -> TrialRecord:
    """One whose drop is the sum of what its choices cost."""
    at = "stage1"
    plan = Plan.of({"block": {at: block}, "prune": {at: prune}, "bits": {at: bits}})
    drop = BLOCKS[block] + PRUNES[prune] + BITS[bits]
    return TrialRecord(number, TrialStatus.EVALUATED, plan, accuracy=90 - drop, drop=drop)


EVERY = [trial(number, *chosen) for number, chosen in enumerate(product(BLOCKS, PRUNES, BITS))]
WORST = trial(99, "separable", 0.5, "w4a8")


def test_the_same_plan_without_it_says_what_a_technique_costs() -> None:
    (without,) = (
        record for record in EVERY if record.plan == trial(0, "original", 0.5, "w4a8").plan
    )
    attribution = costliest(WORST, EVERY)
    assert attribution is not None
    assert (attribution.technique, attribution.without, attribution.trials) == (
        "block",
        without.number,
        0,
    )
    assert attribution.points == pytest.approx(2.0)


def test_without_such_a_plan_a_model_of_the_others_says_it() -> None:
    alone = [record for record in EVERY if record.plan and len(record.plan.choices) != 2]
    attribution = costliest(WORST, [record for record in alone if record.plan != WORST.plan])
    assert attribution is not None
    assert (attribution.technique, attribution.without) == ("block", None)
    assert attribution.points == pytest.approx(2.0, abs=0.5)
    assert attribution.trials >= 8


def test_the_only_technique_costs_all() -> None:
    missed = trial(0, "separable", 0.0, "w32a32")
    attribution = costliest(missed, [missed])
    assert attribution is not None
    assert (attribution.technique, attribution.trials) == ("block", 0)
    assert attribution.points == pytest.approx(2.0)


def test_of_few_trials_nothing_is_said() -> None:
    missed = trial(0, "separable", 0.5, "w8a8")
    assert costliest(missed, [missed]) is None


def test_what_gains_is_not_blamed() -> None:
    missed = trial(0, "original", 0.0, "w8a8")
    assert costliest(missed, [missed]) is None
