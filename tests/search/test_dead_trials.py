"""What becomes of trials whose process died, and of those that are tried once more."""

import json
import platform
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState
from paredown.objectives.cost.cost import Cost
from paredown.objectives.evaluation.outcome import Outcome
from paredown.search.study import trial_record
from paredown.search.study.attributes import BUDGETS, WORKER
from paredown.search.study.dead_trials import bury_dead_trials, stop_trial
from paredown.search.study.retries import queue_failed_plans, waiting_retries
from paredown.search.study.trial_record import TrialStatus, read_records
from paredown.spaces.graph.tracing import example_images
from paredown.spaces.models import build_model, find_model
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.space import Space

COST = Cost(1, 1, 1, 1, 1, 1)
DEAD = json.dumps({"host": platform.node(), "pid": 2**22 + 1})
"""No process has so high a number."""


@pytest.fixture(scope="module")
def space() -> Space:
    network = build_model(find_model("resnet8"), 10, 1)
    options = {"width": (1.0, 0.5), "block": (), "prune": (), "bits": ("w32a32", "w8a8")}
    return Space.of(trace_with_groups(network, example_images(1, 8)), options)


@pytest.fixture
def study() -> optuna.Study:
    study = optuna.create_study(directions=["minimize", "minimize"])
    study.set_user_attr(BUDGETS, [0.5, 1.0])
    return study


def begun(study: optuna.Study, space: Space, plan: Plan, **attributes: Any) -> optuna.Trial:
    """A trial of a process that is gone."""
    study.enqueue_trial(space.params(plan))
    trial = study.ask(
        {
            dimension.name: CategoricalDistribution(dimension.options)
            for dimension in space.dimensions
        }
    )
    trial_record.write(trial, trial_record.proposed(plan, COST, None) | {WORKER: DEAD} | attributes)
    return trial


def test_a_plan_that_was_under_way_is_proposed_again(study: optuna.Study, space: Space) -> None:
    plan = space.uniform(1.0)
    begun(study, space, plan)
    bury_dead_trials(study)
    first, again = study.trials
    assert first.state == TrialState.FAIL
    assert again.state == TrialState.WAITING
    assert again.system_attrs["fixed_params"] == space.params(plan)


def test_a_trial_that_only_had_to_be_told_of_is_kept(study: optuna.Study, space: Space) -> None:
    plan = space.uniform(1.0)
    begun(study, space, plan, **trial_record.evaluated(Outcome(plan, COST, 90.0, 1.5)))
    bury_dead_trials(study)
    (record,) = read_records(study.trials)
    assert study.trials[0].state == TrialState.COMPLETE
    assert list(study.trials[0].constraints.values()) == [0.5]
    assert (record.status, record.drop, record.took_training) == (TrialStatus.EVALUATED, 1.5, True)


def test_two_processes_may_bury_the_same_trial(study: optuna.Study, space: Space) -> None:
    trial = begun(study, space, space.uniform(1.0))
    stop_trial(study, trial, "its process is gone")
    stop_trial(study, trial, "its process is gone")
    assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.WAITING]


def test_failed_plans_wait_in_the_order_of_their_trials_and_once(
    study: optuna.Study, space: Space
) -> None:
    plans = [space.only(dimension, dimension.options[-1]) for dimension in space.dimensions[:4]]
    for plan in plans:
        trial = begun(study, space, plan, **trial_record.failed("it crashed"))
        study.tell(trial, state=TrialState.FAIL)
    scored = begun(
        study, space, plans[1], **trial_record.evaluated(Outcome(plans[1], COST, 90.0, 1.5))
    )
    study.tell(scored, [1.0, 1.0])
    for _ in range(2):  # as two processes do
        queue_failed_plans(study, read_records(study.trials), space)
    waiting = [trial.system_attrs["fixed_params"] for trial in waiting_retries(study)]
    assert waiting == [space.params(plan) for plan in (plans[0], plans[2], plans[3])]


def test_a_retry_that_was_stopped_stays_one(study: optuna.Study, space: Space) -> None:
    plan = space.uniform(1.0)
    trial = begun(study, space, plan, **trial_record.failed("it crashed"))
    study.tell(trial, state=TrialState.FAIL)
    queue_failed_plans(study, read_records(study.trials), space)
    retry = study.ask(
        {
            dimension.name: CategoricalDistribution(dimension.options)
            for dimension in space.dimensions
        }
    )
    stop_trial(study, retry, "interrupted")
    assert len(waiting_retries(study)) == 1
