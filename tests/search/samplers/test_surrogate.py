"""The model of the drop, and how parameters look to it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from paredown.search.samplers.drop_model import (
    CannotFit,
    DropModel,
    DropTransform,
    HyperparameterCache,
    most_relevant,
)
from paredown.search.samplers.gp import (
    GaussianProcess,
    Inputs,
    _negative_log_posterior,
    _PairwiseProducts,
    fit,
)
from paredown.search.samplers.parameter_encoding import ParameterEncoder
from scipy.optimize import check_grad

RNG = np.random.default_rng(0)


def inputs(count: int) -> Inputs:
    return Inputs(RNG.normal(size=(count, 3)), RNG.normal(size=(count, 2)))


def test_the_gradient_is_right() -> None:
    points, targets = inputs(12), RNG.normal(size=12)
    parts = _PairwiseProducts.of(points, points)
    start = np.log([0.3, 0.2, 0.6, 0.8, 1.2, 0.1])
    wrong = check_grad(
        lambda x: _negative_log_posterior(x, parts, targets)[0],
        lambda x: _negative_log_posterior(x, parts, targets)[1],
        start,
    )
    assert wrong < 1e-4


def test_a_process_learns_what_is_linear() -> None:
    points, more = inputs(40), inputs(10)
    effect = np.array([1.0, -2.0, 0.5])
    targets = points.features @ effect
    mean, deviation = GaussianProcess(points, targets, fit(points, targets)).posterior(more)
    np.testing.assert_allclose(mean, more.features @ effect, atol=0.3)
    assert (deviation < 1).all()


def model(drops: list[float], is_censored: list[bool], points: Inputs) -> DropModel:
    scale = DropTransform([1.0])
    return DropModel(points, np.array(drops), np.array(is_censored), scale, HyperparameterCache())


def test_a_bound_counts_as_at_least_that() -> None:
    points = Inputs(np.arange(6.0)[:, None] / 5, np.zeros((6, 0)))
    drops = [0.0, 0.2, 0.5, 0.9, 1.5, 1.0]
    as_exact = model(drops, [False] * 6, points).predict(points)[0]
    as_bound = model(drops, [False] * 5 + [True], points).predict(points)[0]
    assert as_bound[5, 0] < as_exact[5, 0]


@pytest.mark.parametrize(
    ("budget", "step", "limit"),
    [(0.5, 0.0, 0.5), (0.5, 0.4, 0.6), (0.8, 0.4, 1.0), (0.3, 0.1, 0.35), (0.0, 0.4, 0.2)],
)
def test_a_budget_ends_between_the_last_drop_it_allows_and_the_next(
    budget: float, step: float, limit: float
) -> None:
    scale = DropTransform([budget], step)
    np.testing.assert_allclose(scale.budgets, scale(np.array([limit])))


def test_equal_drops_are_no_model() -> None:
    with pytest.raises(CannotFit, match="the same"):
        model([1.0] * 4, [False] * 4, inputs(4))


def test_of_many_observations_the_relevant_are_modelled() -> None:
    targets = np.concatenate([np.zeros(100), np.full(700, 9.0)])
    remaining = most_relevant(targets, DropTransform([0.0]))
    assert len(remaining) == 300
    assert set(range(100)) <= set(remaining.tolist())
    assert 799 in remaining


DISTRIBUTIONS = [
    CategoricalDistribution(["a", None, True, 1, 1.5]),
    CategoricalDistribution([8, 32, 2, 16]),
    IntDistribution(1, 1000, log=True),
    IntDistribution(-3, 12, step=3),
    FloatDistribution(1e-5, 1e-1, log=True),
    FloatDistribution(-1, 1),
    FloatDistribution(0, 1, step=0.1),
    FloatDistribution(2, 2),
]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=str)
@given(seed=st.integers(0, 100))
def test_an_axis_stays_within_its_distribution(distribution: object, seed: int) -> None:
    encoder, rng = ParameterEncoder.of(distribution), np.random.default_rng(seed)  # type: ignore[arg-type]
    codes = encoder.sample(rng, 20)
    for code in (*codes, *encoder.change(codes, rng)):
        value = encoder.decode(code)
        assert distribution._contains(distribution.to_internal_repr(value))  # type: ignore[attr-defined]
        again = encoder.encode(value)
        assert again is not None
        assert encoder.decode(again) == value
    assert np.isfinite(encoder.features(codes)).all()


def test_near_numbers_look_alike_in_any_order() -> None:
    encoder = ParameterEncoder.of(CategoricalDistribution([8, 32, 2, 16]))
    eight, most, _, sixteen = encoder.features(np.arange(4.0))
    assert np.linalg.norm(eight - sixteen) < np.linalg.norm(eight - most)
