"""The objectives that a search minimizes, which are known before training."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ...errors import InputError
from ...own_code import own_code_digest
from ...references import user_code
from ...registry import Registry
from ...spaces.apply import predict_graph
from ...spaces.graph.blueprint import Blueprint
from ...spaces.plan import Plan
from .cost import Cost, count

DEFAULT_OBJECTIVES = ("params_effective", "flops_effective")


@dataclass(frozen=True)
class Objective:
    """An objective to minimize. Register an instance with `OBJECTIVES`.

    `of` is called before any network is built, for each of the thousands of plans that a sampler
    considers, so it should take a fraction of a millisecond. Its values are cached.

    Attributes:
        name: as written in study files.
        title: a short description.
        of: (cost, plan, blueprint of the plan's network) -> the value, above 0.
    """

    name: str
    title: str
    of: Callable[[Cost, Plan, Blueprint], float]


OBJECTIVES: Registry[Objective] = Registry("objective")


def priced(cost: Cost, plan: Plan, blueprint: Blueprint, objectives: Sequence[str]) -> Cost:
    """Add a study's objectives to a cost, unless they are the default ones.

    Args:
        cost: the cost of the plan's network.
        plan: the plan.
        blueprint: the blueprint of the plan's network.
        objectives: names of registered objectives.

    Raises:
        UserCodeError: an objective failed.
        InputError: an objective returned no number above 0.
    """
    if tuple(objectives) == DEFAULT_OBJECTIVES:
        return cost
    return replace(
        cost, chosen=tuple((name, _figure(name, cost, plan, blueprint)) for name in objectives)
    )


def predicted_cost(blueprint: Blueprint, plan: Plan, objectives: Sequence[str]) -> Cost:
    """Predict the cost of a plan, with the study's objectives, without building its network.

    Args:
        blueprint: the baseline.
        plan: the plan.
        objectives: names of registered objectives.

    Raises:
        InputError, UserCodeError: as `priced`.
    """
    changed = predict_graph(blueprint, plan)
    return priced(count(changed), plan, changed, objectives)


def objective_code(name: str) -> str:
    """Return a digest of the user's code behind an objective; empty if it is Paredown's."""
    return own_code_digest(OBJECTIVES.get(name).of)


def _figure(name: str, cost: Cost, plan: Plan, blueprint: Blueprint) -> float:
    with user_code(f"the objective {name!r}"):
        figure = float(OBJECTIVES.get(name).of(cost, plan, blueprint))
    if not (figure > 0 and math.isfinite(figure)):
        raise InputError(
            f"the objective {name!r} returned {figure:g} for the plan {plan.describe()!r}; "
            "expected a number above 0"
        )
    return figure


def _figure_of_cost(name: str, title: str) -> Objective:
    return Objective(name, title, lambda cost, plan, blueprint: float(getattr(cost, name)))


for _name, _title in (
    ("params", "params"),
    ("params_effective", "effective params"),
    ("macs", "MACs"),
    ("flops_effective", "effective FLOPs"),
    ("bops", "BOPs"),
    ("bytes", "bytes of parameters"),
):
    OBJECTIVES.register(_figure_of_cost(_name, _title))
