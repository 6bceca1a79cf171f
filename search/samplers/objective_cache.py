"""The objectives of points: exact for a few, guessed from those for many."""

from collections.abc import Hashable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from .encoding import SearchSpaceEncoder
from .gp import Array, Hyperparameters, Inputs, kernel
from .problem import SamplingProblem

_REMEMBERED = 50_000
_LEAST = 1e-12
"""Objectives below this share of the reference count as this share."""
_SURROGATE = Hyperparameters(
    linear_features=1.0,
    linear_objectives=1.0,
    matern=0.3,
    feature_scale=0.7,
    objective_scale=1.0,
    noise=1e-4,
)
"""Objectives are known exactly, and are mostly sums of what each parameter adds."""
_ANCHORS = 400

Value = TypeVar("Value")


class LruCache(Generic[Value]):
    """The last values by row; the oldest are forgotten."""

    def __init__(self) -> None:
        self._values: dict[bytes, Value] = {}

    def get(self, row: Array) -> Value | None:
        """What is remembered of a row."""
        return self._values.get(row.tobytes())

    def put(self, row: Array, value: Value) -> Value:
        """Remember a value."""
        if len(self._values) >= _REMEMBERED:
            self._values.pop(next(iter(self._values)), None)
        self._values[row.tobytes()] = value
        return value


class ObjectiveCache:
    """What a question says of rows, each asked once."""

    def __init__(self, problem: SamplingProblem, encoder: SearchSpaceEncoder) -> None:
        self._problem, self._encoder = problem, encoder
        self._reference = np.array(problem.reference_point, dtype=np.float64)
        self._objectives = LruCache[Array]()
        self._keys = LruCache[Hashable]()

    def params(self, row: Array) -> dict[str, Any]:
        """The parameters of a row."""
        return self._encoder.decode(row)

    def key(self, row: Array) -> Hashable:
        """What tells a row from others that mean something else."""
        known = self._keys.get(row)
        if known is None:
            known = self._keys.put(row, self._problem.identify(self.params(row)))
        return known

    def evaluation_cost(self, row: Array) -> float:
        """What evaluating a row takes; 1, if prices do not matter."""
        if self._problem.evaluation_cost is None:
            return 1.0
        # Not remembered: what was evaluated meanwhile may have made it cheaper.
        return max(float(self._problem.evaluation_cost(self.params(row))), _LEAST)

    def exact(self, rows: Sequence[Array] | Array) -> Array:
        """(rows, objectives) logarithms of the objectives' shares of the reference."""
        values = np.zeros((len(rows), len(self._reference)))
        for place, row in enumerate(rows):
            known = self._objectives.get(row)
            values[place] = self._cost(row) if known is None else known
        return values

    def _cost(self, row: Array) -> Array:
        values = np.array(self._problem.objectives(self.params(row)), dtype=np.float64)
        return self._objectives.put(row, np.log(np.maximum(values / self._reference, _LEAST)))


class ObjectiveSurrogate:
    """Objectives guessed from exact ones nearby: kernel ridge regression."""

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
