"""The initial plans of a search: the baseline, and plans from a greedy saving-per-error ordering.

Each option has a saving, and an error: how much its parts deviate from the baseline's features when
they are fitted from the block library. Taking options in order of saving per error is the greedy
solution of the multiple-choice knapsack problem (Sinha and Zoltners 1979,
https://doi.org/10.1287/opre.27.3.503); if savings and errors are additive, it is exact but for the
last step. LANA (Molchanov et al. 2021, https://arxiv.org/abs/2107.10624) solves the same problem by
integer programming.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ...objectives.cost.cost import Cost
from ...spaces.plan import Plan
from ...spaces.space import Dimension, Space
from ...spaces.technique import Value

DESIGNS = 4
"""Number of initial plans besides the baseline."""

_LEAST_MISS = 1e-4
"""Lower limit of an error, so that savings per error are finite."""


@dataclass(frozen=True)
class Offer:
    """One option of a dimension.

    Attributes:
        dimension: the dimension.
        option: the option.
        saved: sum over objectives of log(baseline / network with this option alone).
        fitting_error: deviation of its parts from the baseline's features.
    """

    dimension: Dimension
    option: Value
    saved: float
    fitting_error: float


def untrained_designs(space: Space) -> list[Plan]:
    """The baseline and the cheapest plan without training, neither of which needs fitting."""
    plans = (Plan(), space.without_training())
    return [plan for plan in dict.fromkeys(plans) if space.holds(plan)]


def first_designs(
    space: Space,
    cost: Callable[[Plan], Cost],
    missed: Callable[[Plan], float],
    count: int = DESIGNS,
) -> list[Plan]:
    """The baseline, and plans with growing prefixes of the greedy ordering.

    All but the baseline also have the options that need no training.

    Args:
        space: the search space.
        cost: plan -> predicted cost.
        missed: plan -> fitting error; infinite for plans that cannot be fitted, whose options are
            never taken.
        count: number of plans besides the baseline.
    """
    steps = list(bargains(list(_offers(space, cost, missed))))
    base = space.params(space.without_training())
    plans = [Plan(), space.plan(base)]
    for number in range(1, count):
        taken = steps[: math.ceil(len(steps) * number / (count - 1))]
        plans.append(space.plan(base | {offer.dimension.name: offer.option for offer in taken}))
    return [plan for plan in dict.fromkeys(plans) if space.holds(plan)]


def bargains(offers: Sequence[Offer]) -> Iterator[Offer]:
    """Offers in greedy order; a later offer of a dimension replaces an earlier one.

    Only the offers on the convex hull of (error, saving) of each dimension are used.
    """
    steps = list[tuple[float, Offer]]()
    for dimension in dict.fromkeys(offer.dimension for offer in offers):
        steps += _hull([offer for offer in offers if offer.dimension == dimension])
    return (offer for _, offer in sorted(steps, key=lambda step: -step[0]))


def _hull(offers: Sequence[Offer]) -> Iterator[tuple[float, Offer]]:
    """The offers of one dimension on the convex hull, with their additional saving per error."""
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
    """Every option that needs training, saves something and can be fitted."""
    whole = cost(Plan()).objectives
    for dimension in space.dimensions_that_train:
        for option in dimension.options:
            plan = space.only(dimension, option)
            pairs = zip(whole, cost(plan).objectives, strict=True)
            saved = sum(math.log(old / new) for old, new in pairs)
            if plan.choices and saved > 0 and math.isfinite(error := missed(plan)):
                yield Offer(dimension, option, saved, error)
