"""What a point promises: the hypervolume it would add, times how likely it is to be feasible."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .gp import Array
from .hypervolume import hypervolume_improvement

_NOTHING = -1e300


@dataclass(frozen=True)
class Fronts:
    """The feasible points so far, budget by budget, as logarithms of their objectives.

    Attributes:
        members: (points, objectives) for each budget.
    """

    members: tuple[Array, ...]

    @classmethod
    def of(cls, log_objectives: Array, drops: Array, budgets: Sequence[float]) -> "Fronts":
        """From observed points; the drop of one that is within no budget may be infinite."""
        return cls(tuple(log_objectives[drops <= budget] for budget in budgets))

    def with_fantasies(self, log_objectives: Array, log_within: Array) -> "Fronts":
        """With pending points on the front of each budget that they are likelier than not to meet.

        Args:
            log_objectives: (points, objectives).
            log_within: (points, budgets) logarithms of the probability.
        """
        even = np.log(0.5)
        believed = (
            log_objectives[log_within[:, place] >= even] for place in range(len(self.members))
        )
        pairs = zip(self.members, believed, strict=True)
        return Fronts(tuple(np.concatenate(pair) for pair in pairs))

    def acquisition(self, log_objectives: Array, log_within: Array) -> Array:
        """The logarithm of the greatest gain times probability over the budgets.

        The budgets take turns by this: the one that can still gain most has the next point.
        Where nothing can be gained, a very low number.
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
    """Whether there is anything to improve.

    While nothing is feasible, Gardner et al. take the likeliest point to be: the gain of points far
    out of reach is so great that it would lead away from what is feasible.
    """
    return bool((front < 0).all(axis=1).any())


def ranking(acquisition: Array, log_within: Array, deviation: Array) -> NDArray[np.intp]:
    """Points, the best first.

    Where promises are equal, as where nothing can be gained, those come first that could teach
    most about what is feasible within the largest budget.
    """
    lesson = log_within.max(axis=1) + np.log(deviation)
    return np.lexsort((-lesson, -acquisition))


def improves(acquisition: Array) -> NDArray[np.bool_]:
    """Where there is anything to gain."""
    return np.asarray(acquisition > _NOTHING / 2)
