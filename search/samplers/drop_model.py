"""The drop as a model sees it, and what it predicts for points that nobody evaluated."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from .gp import Array, GaussianProcess, Hyperparameters, Inputs, fit

_MOST = 300
_NEAREST = 200
"""Of more observations than these, the nearest to a budget and the latest are modelled."""
_GROWTH = 1.12
"""How much the observations grow until the hyperparameters are fitted anew."""


class CannotFit(Exception):
    """Too little is known for a model; the message says what is missing."""


class DropTransform:
    """Drops on a scale on which the large ones do not dominate: asinh(drop / largest budget).

    Drops that come in steps keep within a budget up to half a step above the last one it allows,
    as a continuous model sees them: the correction for continuity (Yates, "Contingency Tables
    Involving Small Numbers and the chi-squared Test", 1934).

    Args:
        budgets: the largest drops allowed, in percentage points.
        step: the smallest difference between two drops; 0 if they are continuous.
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
    """A model of the drop, conditioned on what was observed.

    Args:
        inputs: the points, in the order of their trials.
        drops: in percentage points.
        is_censored: where the true drop is only known to be at least this.
        scale: on which drops are modelled.
        cache: remembers hyperparameters from one ask to the next; they are a function of the
            observations alone.

    Raises:
        CannotFit: too little is known.
        numpy.linalg.LinAlgError: the points cannot be told apart.
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
        """The model as if pending points had turned out as it expects: the kriging believer."""
        if len(pending):
            self._targets = np.append(self._targets, self._process.posterior_mean(pending))
            self._inputs = self._inputs.append(pending)
            self._process = GaussianProcess(self._inputs, self._targets, self._process.hyper)
        return self

    def predict(self, inputs: Inputs) -> tuple[Array, Array]:
        """(points, budgets) logarithms of the probability of being within each, and deviations."""
        mean, deviation = self._process.posterior(inputs)
        room = (self._scale.budgets[None, :] - mean[:, None]) / deviation[:, None]
        return np.asarray(log_ndtr(room)), deviation


class HyperparameterCache:
    """The hyperparameters of a model, fitted anew when the observations have grown by an eighth.

    They are fitted to as many observations as there were then, so that a study that is continued
    in another process goes on with the same ones.
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
    """The last of the counts 4, 5, 6, ... each an eighth or so above the one before."""
    reached = 4
    while (following := math.ceil(reached * _GROWTH)) <= count:
        reached = following
    return min(reached, count)


def most_relevant(targets: Array, scale: DropTransform) -> NDArray[np.intp]:
    """Which observations to model, in order: all, or those near a budget and the latest."""
    if len(targets) <= _MOST:
        return np.arange(len(targets))
    distance = np.abs(targets[:, None] - scale.budgets[None, :]).min(axis=1)
    near = np.argsort(distance, kind="stable")[:_NEAREST]
    rest = np.setdiff1d(np.arange(len(targets)), near)
    return np.sort(np.concatenate([near, rest[-(_MOST - _NEAREST) :]]))


def _imputed(
    inputs: Inputs, targets: Array, is_censored: NDArray[np.bool_], hyper: Hyperparameters
) -> Array:
    """Targets with bounds replaced by what the model of the others expects above them.

    That is the mean of the normal distribution cut off below at the bound: Hutter, Hoos and
    Leyton-Brown, "Bayesian Optimization With Censored Response Data" (2013), with one round.
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
