"""Measure the quality of a Pareto front: its hypervolume in logarithms of relative costs."""

import math
from collections.abc import Iterable

import numpy
from paredown.objectives.cost.cost import Cost
from paredown.search.samplers.hypervolume import hypervolume


def relative(cost: Cost, baseline: Cost) -> list[float]:
    """Logarithms of the objectives relative to the baseline's."""
    pairs = zip(cost.objectives, baseline.objectives, strict=True)
    return [math.log(ours / theirs) for ours, theirs in pairs]


def volume(costs: Iterable[Cost], baseline: Cost) -> float:
    """The hypervolume of plans of these costs, with the baseline as reference point."""
    members = [relative(cost, baseline) for cost in costs]
    return hypervolume(numpy.array(members, dtype=numpy.float64).reshape(-1, 2))
