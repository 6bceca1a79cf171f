"""BudgetSampler over random spaces and histories."""

import copy
import doctest
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState
from paredown.search.samplers import BudgetSampler, Observation, SamplingProblem, budget_sampler

optuna.logging.set_verbosity(optuna.logging.ERROR)
SPACE = {f"p{i}": CategoricalDistribution(["a", "b", "c"]) for i in range(8)}
LITTLE = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))

distributions = st.one_of(
    st.integers(1, 4).map(lambda n: CategoricalDistribution(["w", "x", "y", "z"][:n])),
    st.integers(1, 5).map(lambda n: CategoricalDistribution([0.1 * 2**i for i in range(n)])),
    st.integers(1, 40).map(lambda n: IntDistribution(1, n, log=n % 2 == 0)),
    st.sampled_from([FloatDistribution(0.01, 1, log=True), FloatDistribution(-1, 1, step=0.25)]),
)
spaces = st.dictionaries(st.sampled_from("abcdefgh"), distributions, min_size=1, max_size=6)


def weight(params: Mapping[str, Any]) -> float:
    """Something that depends on all parameters, between 0 and 1."""
    parts = [len(repr(v)) + ord(v[0]) if isinstance(v, str) else v for v in params.values()]
    return sum(abs(math.sin(7 * part + place)) for place, part in enumerate(parts)) / len(parts)


def objectives(params: Mapping[str, Any]) -> tuple[float, float]:
    return 0.05 + weight(params), 1.1 - weight(params) ** 2 / 2


def observe(trial: FrozenTrial) -> Observation | None:
    results = trial.user_attrs.get("drop")
    return None if results is None else Observation(results, trial.user_attrs.get("bound", False))


def question(space: Mapping[str, BaseDistribution], **more: Any) -> SamplingProblem:
    return SamplingProblem(space, objectives, observe, [0.5, 2.0], [1.05, 1.1], **more)


def sampler(asked: SamplingProblem, seed: int = 0, **more: Any) -> BudgetSampler:
    return BudgetSampler(asked, seed, **{"candidates": 60, "costed": 8, "n_startup": 3} | more)


def new_study(of: BudgetSampler) -> optuna.Study:
    return optuna.create_study(directions=["minimize"] * 2, sampler=of)


def step(study: optuna.Study, space: Mapping[str, BaseDistribution], fate: int = 0) -> FrozenTrial:
    """One trial: 0 observed, 1 failed, 2 left running, 3 stopped early, 4 unknown."""
    trial = study.ask(dict(space))
    if fate in (0, 3):
        trial.set_user_attr("drop", 4 * (1 - weight(trial.params)))
        trial.set_user_attr("bound", fate == 3)
    if fate == 1:
        study.tell(trial, state=TrialState.FAIL)
    elif fate != 2:
        study.tell(trial, objectives(trial.params))
    return study.get_trials(deepcopy=False)[trial.number]


def points(study: optuna.Study) -> list[tuple[Any, ...]]:
    return [tuple(sorted(trial.params.items())) for trial in study.trials]


@LITTLE
@given(space=spaces, seed=st.integers(0, 9), fates=st.lists(st.integers(0, 4), max_size=9))
def test_proposals_are_new_points_of_the_space(
    space: dict[str, BaseDistribution], seed: int, fates: list[int]
) -> None:
    study = new_study(sampler(question(space), seed))
    for fate in [0, 0, 0, *fates]:
        trial = step(study, space, fate)
        for name, value in trial.params.items():
            assert space[name]._contains(space[name].to_internal_repr(value))
    everything = sampler(question(space))._encoder.all_points
    left = math.inf if everything is None else len(everything)
    assert len(set(points(study))) == min(len(study.trials), left)


@LITTLE
@given(space=spaces, fates=st.lists(st.integers(0, 4), min_size=5, max_size=8))
def test_a_continued_study_goes_on_as_it_would_have(
    space: dict[str, BaseDistribution], fates: list[int]
) -> None:
    study = new_study(sampler(question(space)))
    for fate in fates:
        step(study, space, fate)
    twin = optuna.create_study(
        directions=["minimize"] * 2, sampler=sampler(question(space)), storage=None
    )
    for trial in study.get_trials(deepcopy=True):
        twin.add_trial(copy.deepcopy(trial))
    for _ in range(3):
        assert step(study, space).params == step(twin, space).params


def test_all_of_a_small_space_is_tried_and_then_repeated() -> None:
    space = {"x": CategoricalDistribution([1, 2, 3]), "y": IntDistribution(0, 2)}
    of = sampler(question(space))
    study = new_study(of)
    for _ in range(9):
        step(study, space)
        assert of.last_fallback is None
    assert len(set(points(study))) == 9
    step(study, space)
    assert of.last_fallback is not None
    assert "no untried point" in of.last_fallback


def test_points_that_mean_the_same_are_not_proposed() -> None:
    asked = question(SPACE, identify=lambda params: params["p0"] + params["p1"])
    study = new_study(sampler(asked, candidates=200))
    for _ in range(9):
        step(study, SPACE)
    assert len({t.params["p0"] + t.params["p1"] for t in study.trials}) == 9


def test_a_fallback_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    of = sampler(question(SPACE))
    study = new_study(of)
    for _ in range(6):
        trial = study.ask(dict(SPACE))
        trial.set_user_attr("drop", 1.0)
        study.tell(trial, objectives(trial.params))
    assert of.last_fallback == "all drops observed so far are the same"
    assert len([r for r in caplog.records if "uniform sampling" in r.message]) == 1
    step(study, SPACE)
    step(study, SPACE)
    assert of.last_fallback is None


def test_a_failed_point_comes_again_only_if_it_may() -> None:
    space = {"x": CategoricalDistribution(["a", "b"])}
    for retry, expected in ((False, 2), (True, 1)):
        study = new_study(sampler(question(space, retry=lambda trial, may=retry: may), n_startup=9))
        failed = step(study, space, fate=1).params
        results = [step(study, space).params for _ in range(2)]
        assert (failed in results) or expected == 2
        assert results[0] != failed or retry


def test_prices_are_asked_of_few() -> None:
    priced = list[float]()

    def price(params: Mapping[str, Any]) -> float:
        priced.append(1.0 + weight(params))
        return priced[-1]

    study = new_study(sampler(question(SPACE, evaluation_cost=price)))
    for _ in range(8):
        step(study, SPACE)
    assert 0 < len(priced) <= 8 * 5


def test_no_more_objectives_are_asked_than_agreed() -> None:
    calls = list[int]()

    def counted(params: Mapping[str, Any]) -> tuple[float, float]:
        calls.append(1)
        return objectives(params)

    asked = SamplingProblem(SPACE, counted, observe, [0.5, 2.0], [1.05, 1.1])
    study = new_study(sampler(asked))
    for _ in range(6):
        step(study, SPACE)
    before = len(calls)
    step(study, SPACE)
    assert len(calls) - before <= 8 + 1  # the last trial, if it was not among the costed


def test_it_finds_more_than_even_draws() -> None:
    space = {f"p{i}": CategoricalDistribution([0.0, 0.25, 0.5, 0.75]) for i in range(6)}

    def costs(params: Mapping[str, Any]) -> tuple[float, float]:
        remaining = [1 - value for value in params.values()]
        return sum(remaining) / 6, sum(k * k for k in remaining) / 6

    def best(of: optuna.samplers.BaseSampler) -> float:
        study, value = optuna.create_study(directions=["minimize"] * 2, sampler=of), 1.0
        for _ in range(30):
            trial = study.ask(dict(space))
            drop = sum((place + 1) * v**2 for place, v in enumerate(trial.params.values()))
            trial.set_user_attr("drop", drop)
            study.tell(trial, costs(trial.params))
            value = min(value, costs(trial.params)[0]) if drop <= 1 else value
        return value

    asked = SamplingProblem(space, costs, observe, [1.0], [1.0, 1.0])
    even = np.mean([best(optuna.samplers.RandomSampler(seed)) for seed in range(3)])
    assert best(BudgetSampler(asked, 0, candidates=400, costed=20)) < even


def test_the_example_runs() -> None:
    verbosity = optuna.logging.get_verbosity()
    try:
        assert doctest.testmod(budget_sampler).failed == 0
    finally:
        optuna.logging.set_verbosity(verbosity)
