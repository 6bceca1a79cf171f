"""A Gaussian process over parameters and known objectives.

Notation, as in Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), chapters 2
and 5, for n observed and m other points:

    X       inputs: features of the parameters, and logarithms of the objectives
    y       (n,) targets, standardized to mean 0 and variance 1
    K       (n, n) kernel(X, X) + noise I
    L       lower Cholesky factor of K
    alpha   (n,) K^-1 y
    K*      (m, n) kernel(X*, X)
    theta   (6,) logarithms of the hyperparameters

The kernel is the sum of a linear kernel of the features (main effects of the parameters), a linear
kernel of the log objectives, and a Matern 5/2 kernel of both (interactions) with one length scale
for each. There are six hyperparameters whatever the number of parameters; they are set to the
maximum of their posterior density (MAP) under log-normal priors.
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
_MAX_STEPS = 25
_MAX_DEVIATIONS = 4.0
"""Bounds of the search for theta, in standard deviations around the prior mean."""


@dataclass(frozen=True)
class Hyperparameters:
    """Hyperparameters of the kernel and the noise.

    Attributes:
        linear_features, linear_objectives, matern: variances of the kernel's summands.
        feature_scale, objective_scale: length scales of the Matern part.
        noise: variance of the observations.
    """

    linear_features: float
    linear_objectives: float
    matern: float
    feature_scale: float
    objective_scale: float
    noise: float

    @classmethod
    def from_theta(cls, theta: Array) -> "Hyperparameters":
        """The hyperparameters whose logarithms are theta."""
        return cls(*np.exp(theta).tolist())


_PRIOR_MEAN = np.log([0.5, 0.5, 0.5, 0.7, 1.0, 0.02])
_PRIOR_DEVIATION = np.array([1.0, 1.0, 1.0, 0.7, 0.7, 1.0])
"""Prior of theta, in the order of `Hyperparameters`."""


@dataclass(frozen=True)
class Inputs:
    """Inputs of the process.

    Attributes:
        features: (points, features), of the parameters.
        log_objectives: (points, objectives); may have no columns.
    """

    features: Array
    log_objectives: Array

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, index: NDArray[np.intp] | slice) -> "Inputs":
        return Inputs(self.features[index], self.log_objectives[index])

    def append(self, other: "Inputs") -> "Inputs":
        """Concatenate two sets of points."""
        return Inputs(
            np.concatenate([self.features, other.features]),
            np.concatenate([self.log_objectives, other.log_objectives]),
        )


@dataclass(frozen=True)
class _PairwiseProducts:
    """The parts of the kernel of two sets of points that do not depend on hyperparameters.

    Attributes:
        features, objectives: inner products, (left, right).
        feature_distances, objective_distances: squared distances, (left, right).
    """

    features: Array
    objectives: Array
    feature_distances: Array
    objective_distances: Array

    @classmethod
    def of(cls, left: Inputs, right: Inputs) -> "_PairwiseProducts":
        features, feature_distances = _products_and_distances(left.features, right.features)
        objectives, objective_distances = _products_and_distances(
            left.log_objectives, right.log_objectives
        )
        return cls(features, objectives, feature_distances, objective_distances)

    def kernel(self, hyper: Hyperparameters) -> Array:
        linear = hyper.linear_features * self.features + hyper.linear_objectives * self.objectives
        return np.asarray(linear + hyper.matern * _matern52(self._distances(hyper))[0])

    def kernel_and_gradient(self, hyper: Hyperparameters) -> tuple[Array, list[Array]]:
        """The kernel, and its derivatives by the first five entries of theta."""
        matern, slope = _matern52(self._distances(hyper))
        parts = [
            hyper.linear_features * self.features,
            hyper.linear_objectives * self.objectives,
            hyper.matern * matern,
        ]
        slope = hyper.matern * slope
        by_scales = [
            slope * self.feature_distances / hyper.feature_scale**2,
            slope * self.objective_distances / hyper.objective_scale**2,
        ]
        return parts[0] + parts[1] + parts[2], [*parts, *by_scales]

    def _distances(self, hyper: Hyperparameters) -> Array:
        squared = (
            self.feature_distances / hyper.feature_scale**2
            + self.objective_distances / hyper.objective_scale**2
        )
        return np.asarray(np.sqrt(squared))


def kernel(left: Inputs, right: Inputs, hyper: Hyperparameters) -> Array:
    """The prior covariance of two sets of points, (left, right), without noise."""
    return _PairwiseProducts.of(left, right).kernel(hyper)


class GaussianProcess:
    """A Gaussian process conditioned on observations.

    Args:
        inputs: X, the observed points.
        targets: (n,), the observations, on any scale.
        hyper: hyperparameters from `fit`.

    Raises:
        numpy.linalg.LinAlgError: K is singular.
    """

    def __init__(self, inputs: Inputs, targets: Array, hyper: Hyperparameters) -> None:
        self._inputs, self.hyper = inputs, hyper
        self._mean, self._scale = _mean_and_scale(targets)
        covariance = kernel(inputs, inputs, hyper) + hyper.noise * np.eye(len(inputs))
        self._cholesky = cholesky(covariance, lower=True)
        self._alpha = cho_solve((self._cholesky, True), (targets - self._mean) / self._scale)

    def posterior_mean(self, inputs: Inputs) -> Array:
        """K* alpha at other points, (m,), on the scale of the targets."""
        cross = kernel(inputs, self._inputs, self.hyper)
        return np.asarray(self._mean + self._scale * (cross @ self._alpha))

    def posterior(self, inputs: Inputs) -> tuple[Array, Array]:
        """Mean and standard deviation at other points, (m,) each, noise included.

        The variance is diag(kernel(X*, X*)) + noise - diag(K* K^-1 K*'), at least the noise.
        """
        cross = kernel(inputs, self._inputs, self.hyper)
        explained = solve_triangular(self._cholesky, cross.T, lower=True, check_finite=False)
        prior = self.hyper.linear_features * (inputs.features**2).sum(axis=1) + self.hyper.matern
        prior = prior + self.hyper.linear_objectives * (inputs.log_objectives**2).sum(axis=1)
        prior = prior + self.hyper.noise
        variance = np.maximum(prior - (explained**2).sum(axis=0), self.hyper.noise)
        mean = self._mean + self._scale * (cross @ self._alpha)
        return np.asarray(mean), np.asarray(self._scale * np.sqrt(variance))


def fit(inputs: Inputs, targets: Array) -> Hyperparameters:
    """MAP hyperparameters by L-BFGS-B; deterministic, with a bounded number of steps.

    Raises:
        numpy.linalg.LinAlgError: K is singular.
    """
    products = _PairwiseProducts.of(inputs, inputs)
    mean, scale = _mean_and_scale(targets)
    reach = _MAX_DEVIATIONS * _PRIOR_DEVIATION
    optimum = minimize(
        _negative_log_posterior,
        _PRIOR_MEAN,
        args=(products, (targets - mean) / scale),
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(_PRIOR_MEAN - reach, _PRIOR_MEAN + reach, strict=True)),
        options={"maxiter": _MAX_STEPS, "maxfun": _MAX_STEPS + 10},
    )
    return Hyperparameters.from_theta(optimum.x)


def marginal_log_likelihood(
    theta: Array, products: _PairwiseProducts, targets: Array
) -> tuple[float, Array]:
    """log p(y | X, theta) without its constant, and its gradient by theta (equations 2.30, 5.9).

    -y' K^-1 y / 2 - log |K| / 2, with the gradient tr((alpha alpha' - K^-1) dK/dtheta) / 2.
    """
    hyper = Hyperparameters.from_theta(theta)
    covariance, slopes = products.kernel_and_gradient(hyper)
    noisy = covariance + hyper.noise * np.eye(len(targets))
    lower = cholesky(noisy, lower=True, check_finite=False)
    alpha = cho_solve((lower, True), targets, check_finite=False)
    # NOTE: LAPACK's dpotri writes only the lower half of the symmetric inverse.
    inverse = dpotri(lower, lower=1)[0]
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    value = -0.5 * targets @ alpha - np.log(np.diag(lower)).sum()
    weight = 0.5 * (np.outer(alpha, alpha) - inverse)
    gradient = [float(np.vdot(weight, slope)) for slope in slopes]
    gradient.append(float(hyper.noise * np.trace(weight)))
    return float(value), np.array(gradient)


def _negative_log_posterior(
    theta: Array, products: _PairwiseProducts, targets: Array
) -> tuple[float, Array]:
    """The loss of `fit`, and its gradient."""
    likelihood, gradient = marginal_log_likelihood(theta, products, targets)
    deviations = (theta - _PRIOR_MEAN) / _PRIOR_DEVIATION
    log_prior = -0.5 * deviations @ deviations
    return -(likelihood + float(log_prior)), -(gradient - deviations / _PRIOR_DEVIATION)


def _matern52(distances: Array) -> tuple[Array, Array]:
    """The Matern 5/2 function, and -2 times its derivative by the squared distance."""
    scaled = _ROOT5 * distances
    decay = np.exp(-scaled)
    return (1 + scaled + scaled**2 / 3) * decay, (5 / 3) * (1 + scaled) * decay


def _products_and_distances(left: Array, right: Array) -> tuple[Array, Array]:
    """Inner products and squared distances of rows, (left, right) each."""
    if not left.shape[1]:
        zeros = np.zeros((len(left), len(right)))
        return zeros, zeros
    inner = left @ right.T
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None, :]
    squares -= 2 * inner
    return np.asarray(inner), np.maximum(squares, 0.0, out=squares)


def _mean_and_scale(targets: Array) -> tuple[float, float]:
    scale = float(targets.std())
    return float(targets.mean()), scale if scale > 0 else 1.0
