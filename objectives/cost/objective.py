"""What a search minimizes: figures of a plan that are known before any training."""

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
    """A figure to be minimized.

    Attributes:
        name: as written in study files.
        title: in words.
        of: (cost, plan, blueprint of the plan's network) -> the figure, above 0. It is asked for
            thousands of plans, so it should take a fraction of a millisecond.
    """

    name: str
    title: str
    of: Callable[[Cost, Plan, Blueprint], float]


OBJECTIVES: Registry[Objective] = Registry("objective")


def priced(cost: Cost, plan: Plan, blueprint: Blueprint, objectives: Sequence[str]) -> Cost:
    """A cost with the figures that a study minimizes, where they are not the default ones.

    Args:
        cost: of the plan.
        plan: what is done to the network.
        blueprint: of the plan's network.
        objectives: names of registered objectives.

    Raises:
        UserCodeError: one of them failed.
        InputError: one gave no number above 0.
    """
    if tuple(objectives) == DEFAULT_OBJECTIVES:
        return cost
    return replace(
        cost, chosen=tuple((name, _figure(name, cost, plan, blueprint)) for name in objectives)
    )


def predicted_cost(blueprint: Blueprint, plan: Plan, objectives: Sequence[str]) -> Cost:
    """What a plan costs, with the figures that a study minimizes, without building it.

    Args:
        blueprint: of the untouched network.
        plan: what is done to it.
        objectives: names of registered objectives.

    Raises:
        InputError, UserCodeError: as `priced`.
    """
    changed = predict_graph(blueprint, plan)
    return priced(count(changed), plan, changed, objectives)


def objective_code(name: str) -> str:
    """A digest of the user's own code behind an objective; empty if it is Paredown's."""
    return own_code_digest(OBJECTIVES.get(name).of)


def _figure(name: str, cost: Cost, plan: Plan, blueprint: Blueprint) -> float:
    with user_code(f"the objective {name!r}"):
        figure = float(OBJECTIVES.get(name).of(cost, plan, blueprint))
    if not (figure > 0 and math.isfinite(figure)):
        raise InputError(
            f"the objective {name!r} gave {figure:g} for the plan {plan.describe()!r}; expected a "
            "number above 0"
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
