"""How good a front is: the hypervolume in logarithms, so that halving anything counts the same."""

import math
from collections.abc import Iterable

import numpy
from paredown.objectives.cost.cost import Cost
from paredown.search.samplers.hypervolume import hypervolume


def relative(cost: Cost, baseline: Cost) -> list[float]:
    """Logarithms of the objectives' shares of the baseline's."""
    pairs = zip(cost.objectives, baseline.objectives, strict=True)
    return [math.log(ours / theirs) for ours, theirs in pairs]


def volume(costs: Iterable[Cost], baseline: Cost) -> float:
    """The hypervolume that plans of these costs have together, measured from the baseline."""
    members = [relative(cost, baseline) for cost in costs]
    return hypervolume(numpy.array(members, dtype=numpy.float64).reshape(-1, 2))
