"""A Gaussian process over points and figures that are known of them.

The covariance of two points is the sum of a linear part in the parameters' features (each parameter
has an effect of its own), a linear part in the figures, and a Matern 5/2 part in both (what the
parameters do together), beside noise. Six numbers weigh these, however many parameters there are.
They are set by the greatest posterior density. Rasmussen and Williams: Gaussian Processes for
Machine Learning (2006), chapters 2 and 5.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize

Array = NDArray[np.float64]

_ROOT5 = math.sqrt(5)
_PRIOR = np.log([0.5, 0.5, 0.5, 0.7, 1.0, 0.02])
_SPREAD = np.array([1.0, 1.0, 1.0, 0.7, 0.7, 1.0])
"""The prior of the logarithms of the six weights, given targets of variance 1."""
_STEPS = 25
_WITHIN = 4.0
"""How many deviations from the prior the weights are looked for."""


@dataclass(frozen=True)
class Inputs:
    """Points as a process sees them.

    Attributes:
        features: (points, features) of the parameters.
        log_objectives: (points, figures) such as logarithms of objectives; may have no columns.
    """

    features: Array
    log_objectives: Array

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, index: NDArray[np.intp] | slice) -> "Inputs":
        return Inputs(self.features[index], self.log_objectives[index])

    def and_also(self, other: "Inputs") -> "Inputs":
        """These points and others after them."""
        return Inputs(
            np.concatenate([self.features, other.features]),
            np.concatenate([self.log_objectives, other.log_objectives]),
        )


@dataclass(frozen=True)
class _Parts:
    """What the covariances of two sets of points are made of, before they are weighed."""

    features: Array
    log_objectives: Array
    feature_distances: Array
    objective_distances: Array

    @classmethod
    def of(cls, left: Inputs, right: Inputs) -> "_Parts":
        features, features_apart = _products(left.features, right.features)
        log_objectives, figures_apart = _products(left.log_objectives, right.log_objectives)
        return cls(features, log_objectives, features_apart, figures_apart)

    def covariance(self, weights: Array) -> Array:
        linear = weights[0] * self.features + weights[1] * self.log_objectives
        return np.asarray(linear + weights[2] * _matern(self._distances(weights))[0])

    def _distances(self, weights: Array) -> Array:
        squared = (
            self.feature_distances / weights[3] ** 2 + self.objective_distances / weights[4] ** 2
        )
        return np.asarray(np.sqrt(squared))

    def derivatives(self, weights: Array) -> tuple[Array, list[Array]]:
        """The covariance, and its derivatives by the logarithms of the first five weights."""
        matern, slope = _matern(self._distances(weights))
        linear = [weights[0] * self.features, weights[1] * self.log_objectives, weights[2] * matern]
        slope = weights[2] * slope
        lengths = [
            slope * self.feature_distances / weights[3] ** 2,
            slope * self.objective_distances / weights[4] ** 2,
        ]
        return linear[0] + linear[1] + linear[2], [*linear, *lengths]


def covariance(left: Inputs, right: Inputs, weights: Array) -> Array:
    """How much the points of two sets tell of each other, without noise."""
    return _Parts.of(left, right).covariance(weights)


class GaussianProcess:
    """A Gaussian process that has seen some points."""

    def __init__(self, inputs: Inputs, targets: Array, weights: Array) -> None:
        """Condition on points.

        Args:
            inputs: the points.
            targets: what was found there.
            weights: from `fit`.

        Raises:
            numpy.linalg.LinAlgError: the points cannot be told apart.
        """
        self._inputs, self.hyperparameters = inputs, weights
        self._mean, self._scale = _standard(targets)
        alike = covariance(inputs, inputs, weights) + weights[5] * np.eye(len(inputs))
        self._root = cholesky(alike, lower=True)
        self._alpha = cho_solve((self._root, True), (targets - self._mean) / self._scale)

    def mean(self, inputs: Inputs) -> Array:
        """What is expected at points."""
        across = covariance(inputs, self._inputs, self.hyperparameters)
        return np.asarray(self._mean + self._scale * (across @ self._alpha))

    def predict(self, inputs: Inputs) -> tuple[Array, Array]:
        """What is expected at points, and its standard deviation, noise included."""
        across = covariance(inputs, self._inputs, self.hyperparameters)
        known = solve_triangular(self._root, across.T, lower=True, check_finite=False)
        own = self.hyperparameters[0] * (inputs.features**2).sum(axis=1) + self.hyperparameters[2]
        own = (
            own
            + self.hyperparameters[1] * (inputs.log_objectives**2).sum(axis=1)
            + self.hyperparameters[5]
        )
        variance = np.maximum(own - (known**2).sum(axis=0), self.hyperparameters[5])
        mean = self._mean + self._scale * (across @ self._alpha)
        return np.asarray(mean), np.asarray(self._scale * np.sqrt(variance))


def fit(inputs: Inputs, targets: Array) -> Array:
    """The weights under which targets are likely: deterministic, and bounded in time.

    Raises:
        numpy.linalg.LinAlgError: the points cannot be told apart.
    """
    parts = _Parts.of(inputs, inputs)
    mean, scale = _standard(targets)
    wanted = (targets - mean) / scale
    optimum = minimize(
        _negative_log_posterior,
        _PRIOR,
        args=(parts, wanted),
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(_PRIOR - _WITHIN * _SPREAD, _PRIOR + _WITHIN * _SPREAD, strict=True)),
        options={"maxiter": _STEPS, "maxfun": _STEPS + 10},
    )
    return np.asarray(np.exp(optimum.x))


def _negative_log_posterior(logs: Array, parts: _Parts, targets: Array) -> tuple[float, Array]:
    """The negative logarithm of the posterior density, and its gradient."""
    weights = np.exp(logs)
    alike, slopes = parts.derivatives(weights)
    count = len(targets)
    root = cholesky(alike + weights[5] * np.eye(count), lower=True, check_finite=False)
    alpha = cho_solve((root, True), targets, check_finite=False)
    inverse = dpotri(root, lower=1)[0]
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    away = (logs - _PRIOR) / _SPREAD
    value = 0.5 * targets @ alpha + np.log(np.diag(root)).sum() + 0.5 * away @ away
    pull = 0.5 * (inverse - np.outer(alpha, alpha))
    gradient = [float(np.vdot(pull, slope)) for slope in slopes]
    gradient.append(float(weights[5] * np.trace(pull)))
    return float(value), np.array(gradient) + away / _SPREAD


def _matern(apart: Array) -> tuple[Array, Array]:
    """Matern 5/2, and -2 times its derivative by the squared distance."""
    scaled = _ROOT5 * apart
    decay = np.exp(-scaled)
    return (1 + scaled + scaled**2 / 3) * decay, (5 / 3) * (1 + scaled) * decay


def _products(left: Array, right: Array) -> tuple[Array, Array]:
    """Inner products and squared distances."""
    if not left.shape[1]:
        nothing = np.zeros((len(left), len(right)))
        return nothing, nothing
    inner = left @ right.T
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None, :]
    squares -= 2 * inner
    return np.asarray(inner), np.maximum(squares, 0.0, out=squares)


def _standard(targets: Array) -> tuple[float, float]:
    scale = float(targets.std())
    return float(targets.mean()), scale if scale > 0 else 1.0
