"""The plans that a search begins with: the baseline, and a few along the best bargains.

Each option alone is worth what it saves, and costs what its parts miss of the baseline's features
when they are fitted from the library. Taking bargains in order, the best first, is the greedy
answer to a knapsack with one choice per place (Sinha and Zoltners 1979,
https://doi.org/10.1287/opre.27.3.503): exact but for the last step, if savings and misses add up.
LANA (Molchanov et al. 2021, https://arxiv.org/abs/2107.10624) asks an integer programme the same.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ...objectives.cost.cost import Cost
from ...spaces.plan import Plan
from ...spaces.space import Dimension, Space
from ...spaces.technique import Value

DESIGNS = 4
"""Plans beside the baseline."""

_LEAST_MISS = 1e-4
"""What an option is taken to miss at least: no bargain is for nothing."""


@dataclass(frozen=True)
class Offer:
    """One option of a dimension.

    Attributes:
        saved: logarithm of how many times smaller it makes the network alone, both objectives
            together.
        fitting_error: what its parts miss of the baseline's features.
    """

    dimension: Dimension
    option: Value
    saved: float
    fitting_error: float


def untrained_designs(space: Space) -> list[Plan]:
    """The baseline, and all that can be had without training; for a start, nothing is fitted."""
    plans = (Plan(), space.without_training())
    return [plan for plan in dict.fromkeys(plans) if space.holds(plan)]


def first_designs(
    space: Space,
    cost: Callable[[Plan], Cost],
    missed: Callable[[Plan], float],
    count: int = DESIGNS,
) -> list[Plan]:
    """The baseline, then plans from the mildest to one that takes every bargain.

    What can be had without training is taken in all but the first.

    Args:
        space: of the plans.
        cost: of a plan, as `Evaluator.predicted_cost` tells it.
        missed: what a plan's parts miss, as `Evaluator.fitting_error` tells it.
        count: of plans, besides the baseline.

    What cannot be fitted misses infinitely much, and is never taken.
    """
    steps = list(bargains(list(_offers(space, cost, missed))))
    base = space.params(space.without_training())
    plans = [Plan(), space.plan(base)]
    for number in range(1, count):
        taken = steps[: math.ceil(len(steps) * number / (count - 1))]
        plans.append(space.plan(base | {offer.dimension.name: offer.option for offer in taken}))
    return [plan for plan in dict.fromkeys(plans) if space.holds(plan)]


def bargains(offers: Sequence[Offer]) -> Iterator[Offer]:
    """Offers in the order in which to take them; a later one of a dimension replaces an earlier.

    In each dimension those on the convex hull of (missed, saved) are left: what saves less than
    what misses less is never taken.
    """
    steps = list[tuple[float, Offer]]()
    for dimension in dict.fromkeys(offer.dimension for offer in offers):
        steps += _hull([offer for offer in offers if offer.dimension == dimension])
    return (offer for _, offer in sorted(steps, key=lambda step: -step[0]))


def _hull(offers: Sequence[Offer]) -> Iterator[tuple[float, Offer]]:
    """The offers of one dimension that are worth taking, with what each saves per miss."""
    saved, missed = 0.0, 0.0
    while True:
        better = [offer for offer in offers if offer.saved > saved + 1e-9]
        if not better:
            return

        def worth(offer: Offer, saved: float = saved, missed: float = missed) -> float:
            return (offer.saved - saved) / max(offer.fitting_error - missed, _LEAST_MISS)

        best = max(better, key=worth)
        yield worth(best), best
        saved, missed = best.saved, max(best.fitting_error, missed)


def _offers(
    space: Space, cost: Callable[[Plan], Cost], missed: Callable[[Plan], float]
) -> Iterator[Offer]:
    """Every option that has to be trained and that changes the network when it is alone."""
    whole = cost(Plan()).objectives
    for dimension in space.dimensions_that_train:
        for option in dimension.options:
            plan = space.only(dimension, option)
            pairs = zip(whole, cost(plan).objectives, strict=True)
            saved = sum(math.log(old / new) for old, new in pairs)
            if plan.choices and saved > 0 and math.isfinite(error := missed(plan)):
                yield Offer(dimension, option, saved, error)
