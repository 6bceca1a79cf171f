"""The surrogate model of the drop: a Gaussian process on transformed drops."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from .gp import Array, GaussianProcess, Hyperparameters, Inputs, fit

_MOST = 300
_NEAREST = 200
"""Of more than `_MOST` observations, the `_NEAREST` to a budget and the latest are modelled."""
_GROWTH = 1.12
"""Growth of the number of observations until the hyperparameters are refitted."""


class CannotFit(Exception):
    """Too few observations for a model; the message states what is missing."""


class DropTransform:
    """Transform of drops that compresses large ones: asinh(drop / largest budget).

    Where drops are discrete, budgets are shifted to half a step above the largest drop they allow:
    the continuity correction (Yates, "Contingency Tables Involving Small Numbers and the
    chi-squared Test", 1934).

    Args:
        budgets: the largest allowed drops, in percentage points.
        step: the smallest difference between two drops; 0 if drops are continuous.
    """

    def __init__(self, budgets: Sequence[float], step: float = 0.0) -> None:
        self._unit = max(budgets) if max(budgets) > 0 else 1.0
        limits = np.array(budgets, dtype=np.float64)
        if step > 0:
            limits = (np.floor(limits / step + 1e-6) + 0.5) * step
        self.budgets = self(limits)

    def __call__(self, drops: Array) -> Array:
        return np.asarray(np.arcsinh(drops / self._unit))


class DropModel:
    """The drop's posterior, conditioned on the observations.

    Args:
        inputs: the observed points, in the order of their trials.
        drops: (points,), in percentage points.
        is_censored: (points,), where the drop is only a lower bound of the true drop.
        scale: the transform in which drops are modelled.
        cache: hyperparameters of earlier calls; they are a function of the observations alone.

    Raises:
        CannotFit: too few observations.
        numpy.linalg.LinAlgError: the kernel matrix is singular.
    """

    def __init__(
        self,
        inputs: Inputs,
        drops: Array,
        is_censored: NDArray[np.bool_],
        scale: DropTransform,
        cache: "HyperparameterCache",
    ) -> None:
        if len(np.unique(drops)) < 2:
            raise CannotFit("all drops observed so far are the same")
        self._scale, targets = scale, scale(drops)
        hyper = cache.get(inputs, targets, scale)
        relevant = most_relevant(targets, scale)
        inputs, targets, is_censored = inputs[relevant], targets[relevant], is_censored[relevant]
        self._inputs = inputs
        self._targets = _imputed(inputs, targets, is_censored, hyper)
        self._process = GaussianProcess(inputs, self._targets, hyper)

    def fantasize(self, pending: Inputs) -> "DropModel":
        """Condition on pending points, imputed with the posterior mean (kriging believer)."""
        if len(pending):
            self._targets = np.append(self._targets, self._process.posterior_mean(pending))
            self._inputs = self._inputs.append(pending)
            self._process = GaussianProcess(self._inputs, self._targets, self._process.hyper)
        return self

    def predict(self, inputs: Inputs) -> tuple[Array, Array]:
        """Log probabilities of feasibility, (points, budgets), and deviations, (points,)."""
        mean, deviation = self._process.posterior(inputs)
        room = (self._scale.budgets[None, :] - mean[:, None]) / deviation[:, None]
        return np.asarray(log_ndtr(room)), deviation


class HyperparameterCache:
    """Hyperparameters of the model, refitted when the observations have grown by an eighth.

    They are fitted to the first observations up to the last milestone alone, so that a study that
    is resumed in another process has the same hyperparameters.
    """

    def __init__(self) -> None:
        self._known: tuple[bytes, Hyperparameters] | None = None

    def get(self, inputs: Inputs, targets: Array, scale: DropTransform) -> Hyperparameters:
        """The hyperparameters for observations in the order of their trials."""
        count = _milestone(len(targets))
        if len(np.unique(targets[:count])) < 2:
            count = len(targets)
        relevant = most_relevant(targets[:count], scale)
        inputs, targets = inputs[relevant], targets[relevant]
        about = inputs.features.tobytes() + inputs.log_objectives.tobytes() + targets.tobytes()
        if self._known is None or self._known[0] != about:
            self._known = (about, fit(inputs, targets))
        return self._known[1]


def _milestone(count: int) -> int:
    """The last milestone up to a count: 4, 5, 6, ..., each about an eighth above the last."""
    reached = 4
    while (following := math.ceil(reached * _GROWTH)) <= count:
        reached = following
    return min(reached, count)


def most_relevant(targets: Array, scale: DropTransform) -> NDArray[np.intp]:
    """Indices of the observations to model, in order: all, or the nearest to a budget and the
    latest."""
    if len(targets) <= _MOST:
        return np.arange(len(targets))
    distance = np.abs(targets[:, None] - scale.budgets[None, :]).min(axis=1)
    near = np.argsort(distance, kind="stable")[:_NEAREST]
    rest = np.setdiff1d(np.arange(len(targets)), near)
    return np.sort(np.concatenate([near, rest[-(_MOST - _NEAREST) :]]))


def _imputed(
    inputs: Inputs, targets: Array, is_censored: NDArray[np.bool_], hyper: Hyperparameters
) -> Array:
    """Targets with censored ones imputed from the posterior of the others.

    Imputed is the mean of the normal distribution truncated below at the bound, in one round:
    Hutter, Hoos and Leyton-Brown, "Bayesian Optimization With Censored Response Data" (2013).
    """
    exact = np.flatnonzero(~is_censored)
    bound = np.flatnonzero(is_censored)
    if not len(bound) or len(exact) < 2:
        return targets
    process = GaussianProcess(inputs[exact], targets[exact], hyper)
    mean, deviation = process.posterior(inputs[bound])
    least = (targets[bound] - mean) / deviation
    log_density = -0.5 * least**2 - 0.5 * math.log(2 * math.pi)
    expected = mean + deviation * np.exp(log_density - log_ndtr(-least))
    targets = targets.copy()
    targets[bound] = np.maximum(targets[bound], expected)
    return targets
