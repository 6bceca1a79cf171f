"""How much of a time limit is set aside for proving winners."""

from types import MappingProxyType

import pytest
from paredown.search.runner.time_limit import TimeLimit, final_evaluation_seconds
from paredown.search.study.trial_record import TrialRecord, TrialStatus
from paredown.spaces.plan import Choice, Plan

TRAINED = Plan((Choice("width", "stage1", 0.5),))
ROUNDED = Plan((Choice("width", "stage1", 0.5), Choice("bits", "stage1", "w8a8")))


def record(number: int, status: TrialStatus, plan: Plan, **seconds: float) -> TrialRecord:
    return TrialRecord(number, status, plan, seconds=MappingProxyType(seconds))


def test_without_a_limit_nothing_ends() -> None:
    limit = TimeLimit(None)
    limit.reserve(100)
    assert limit.end is None
    assert limit.end_before_reserve is None
    assert limit.trials_may_go_on()


@pytest.mark.parametrize(("estimate", "share"), [(0, 0.05), (10, 0.12), (25, 0.3), (1000, 0.4)])
def test_the_reserve_follows_the_estimate_within_bounds(estimate: float, share: float) -> None:
    limit = TimeLimit(100, began=50, now=lambda: 50)
    limit.reserve(estimate)
    assert limit.end == 150
    assert limit.end_before_reserve == pytest.approx(150 - 100 * share)


def test_trials_end_when_the_reserve_begins() -> None:
    now = 0.0
    limit = TimeLimit(100, began=0, now=lambda: now)
    limit.reserve(10)
    assert limit.trials_may_go_on()
    now = 89
    assert not limit.trials_may_go_on()


def test_a_winner_takes_its_training_and_a_look_and_the_baseline_one_more() -> None:
    trained = record(0, TrialStatus.EVALUATED, TRAINED, train=7.0, score=1.0)
    rounded = record(1, TrialStatus.REUSED_WEIGHTS, ROUNDED, quantize=2.0, score=3.0)
    look, setup = 0.01 * 500, 2.0 + 3.0
    asked = ([rounded], [trained, rounded], 0.01, 500)
    assert final_evaluation_seconds(*asked, retrains=False) == pytest.approx(2 * look + setup)
    assert final_evaluation_seconds(*asked, retrains=True) == pytest.approx(2 * look + setup + 8.0)
    assert final_evaluation_seconds([], [trained], 0.01, 500, retrains=True) == pytest.approx(look)
