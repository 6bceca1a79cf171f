"""Objectives of points: cached exact values, and a surrogate fitted to them."""

from collections.abc import Hashable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from .encoding import SearchSpaceEncoder
from .gp import Array, Hyperparameters, Inputs, kernel
from .problem import SamplingProblem

_REMEMBERED = 50_000
_LEAST = 1e-12
"""Lower limit of objectives relative to the reference point, so that logarithms are finite."""
_SURROGATE = Hyperparameters(
    linear_features=1.0,
    linear_objectives=1.0,
    matern=0.3,
    feature_scale=0.7,
    objective_scale=1.0,
    noise=1e-4,
)
"""Fixed hyperparameters of the surrogate: objectives are noise-free and mostly additive in the
parameters."""
_ANCHORS = 400

Value = TypeVar("Value")


class LruCache(Generic[Value]):
    """Values by row; the oldest entries are evicted."""

    def __init__(self) -> None:
        self._values: dict[bytes, Value] = {}

    def get(self, row: Array) -> Value | None:
        """The cached value of a row; None if there is none."""
        return self._values.get(row.tobytes())

    def put(self, row: Array, value: Value) -> Value:
        """Cache a value, and return it."""
        if len(self._values) >= _REMEMBERED:
            self._values.pop(next(iter(self._values)), None)
        self._values[row.tobytes()] = value
        return value


class ObjectiveCache:
    """Cached keys and objectives of rows, each computed once."""

    def __init__(self, problem: SamplingProblem, encoder: SearchSpaceEncoder) -> None:
        self._problem, self._encoder = problem, encoder
        self._reference = np.array(problem.reference_point, dtype=np.float64)
        self._objectives = LruCache[Array]()
        self._keys = LruCache[Hashable]()

    def params(self, row: Array) -> dict[str, Any]:
        """The parameters of a row."""
        return self._encoder.decode(row)

    def key(self, row: Array) -> Hashable:
        """The identity of a row: rows with the same key are the same plan."""
        known = self._keys.get(row)
        if known is None:
            known = self._keys.put(row, self._problem.identify(self.params(row)))
        return known

    def evaluation_cost(self, row: Array) -> float:
        """The cost of evaluating a row; 1 if the problem has no evaluation costs."""
        if self._problem.evaluation_cost is None:
            return 1.0
        # Not cached: evaluations since the last call may have made it cheaper.
        return max(float(self._problem.evaluation_cost(self.params(row))), _LEAST)

    def exact(self, rows: Sequence[Array] | Array) -> Array:
        """(rows, objectives), logarithms of the objectives relative to the reference point."""
        values = np.zeros((len(rows), len(self._reference)))
        for place, row in enumerate(rows):
            known = self._objectives.get(row)
            values[place] = self._cost(row) if known is None else known
        return values

    def _cost(self, row: Array) -> Array:
        values = np.array(self._problem.objectives(self.params(row)), dtype=np.float64)
        return self._objectives.put(row, np.log(np.maximum(values / self._reference, _LEAST)))


class ObjectiveSurrogate:
    """Surrogate of the log objectives: kernel ridge regression on exact values."""

    def __init__(self, features: Array, exact: Array) -> None:
        self._known, exact = _alone(features[-_ANCHORS:]), exact[-_ANCHORS:]
        covariance = kernel(self._known, self._known, _SURROGATE)
        covariance += _SURROGATE.noise * np.eye(len(covariance))
        self._mean = exact.mean(axis=0)
        self._shares = cho_solve(cho_factor(covariance), exact - self._mean)

    def __call__(self, features: Array) -> Array:
        cross = kernel(_alone(features), self._known, _SURROGATE)
        return np.asarray(self._mean + cross @ self._shares)


def _alone(features: Array) -> Inputs:
    return Inputs(features, np.zeros((len(features), 0)))
