"""The acquisition function: hypervolume improvement times the probability of feasibility."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .gp import Array
from .hypervolume import hypervolume_improvement

_NOTHING = -1e300


@dataclass(frozen=True)
class Fronts:
    """The feasible points of each budget, as logarithms of their objectives.

    Attributes:
        members: per budget an array (points, objectives).
    """

    members: tuple[Array, ...]

    @classmethod
    def of(cls, log_objectives: Array, drops: Array, budgets: Sequence[float]) -> "Fronts":
        """Fronts of observed points; the drop of an infeasible point may be infinite."""
        return cls(tuple(log_objectives[drops <= budget] for budget in budgets))

    def with_fantasies(self, log_objectives: Array, log_within: Array) -> "Fronts":
        """Add pending points to the front of each budget that they meet with probability >= 0.5.

        Args:
            log_objectives: (points, objectives).
            log_within: (points, budgets), logarithms of the probability of feasibility.
        """
        even = np.log(0.5)
        believed = (
            log_objectives[log_within[:, place] >= even] for place in range(len(self.members))
        )
        pairs = zip(self.members, believed, strict=True)
        return Fronts(tuple(np.concatenate(pair) for pair in pairs))

    def acquisition(self, log_objectives: Array, log_within: Array) -> Array:
        """max over budgets of log(improvement * probability of feasibility), (points,).

        The maximum lets the budgets take turns: the next point goes to the budget with the largest
        expected improvement. Points without improvement get a very low number.

        Args:
            log_objectives: (points, objectives).
            log_within: (points, budgets), logarithms of the probability of feasibility.
        """
        best = np.full(len(log_objectives), _NOTHING)
        for place, front in enumerate(self.members):
            gain = hypervolume_improvement(log_objectives, front)
            has = gain > 0
            promised = log_within[has, place]
            if _has_volume(front):
                promised = promised + np.log(gain[has])
            best[has] = np.maximum(best[has], promised)
        return best


def _has_volume(front: Array) -> bool:
    """Whether a front has a volume to improve.

    Without a feasible point, probability alone is the acquisition, as in Gardner et al. (2014): the
    improvement of points far out of reach is so large that it would lead away from feasible ones.
    """
    return bool((front < 0).all(axis=1).any())


def ranking(acquisition: Array, log_within: Array, deviation: Array) -> NDArray[np.intp]:
    """Indices of points, best first.

    Ties in the acquisition, as among points without improvement, are broken by feasibility for the
    largest budget times posterior deviation: where an observation would be most informative.

    Args:
        acquisition: (points,).
        log_within: (points, budgets).
        deviation: (points,), standard deviations of the posterior.
    """
    lesson = log_within.max(axis=1) + np.log(deviation)
    return np.lexsort((-lesson, -acquisition))


def improves(acquisition: Array) -> NDArray[np.bool_]:
    """Mask of the points with an improvement."""
    return np.asarray(acquisition > _NOTHING / 2)
