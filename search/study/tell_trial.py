"""What Optuna is told of a trial that is over: its state, its values and its constraint."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from ...objectives.cost.cost import Cost
from .attributes import BUDGETS, DROP, DROP_LOWER_BOUND, STATUS
from .legacy_names import trial_attributes
from .trial_record import Attributes, TrialStatus

_CONSTRAINTS = "constraints"
"""Where Optuna's samplers and its dashboard look for how far a trial is from being feasible.

NOTE: the form of before Optuna 5. Its dashboard does not show what `Trial.set_constraint` writes.
"""


def state_of(attributes: Mapping[str, Any]) -> TrialState:
    """What a trial with these attributes ends as: failed if its plan has, now or before."""
    attributes = trial_attributes(attributes)
    status = TrialStatus(attributes[STATUS])
    known = DROP in attributes or DROP_LOWER_BOUND in attributes
    fails = status is TrialStatus.FAILED or (status is TrialStatus.REPEATED and not known)
    return TrialState.FAIL if fails else TrialState.COMPLETE


def values_of(attributes: Mapping[str, Any]) -> list[float]:
    """The values of a trial: what its plan, with these attributes, has in the objectives."""
    return list(Cost.from_dict(attributes).objectives)


def ended_trial(
    attributes: Attributes,
    params: Mapping[str, Any],
    options: Mapping[str, Sequence[Any]],
    largest_budget: float,
) -> FrozenTrial:
    """A trial that is over, to be added to a study at once.

    Args:
        attributes: what it proposed and how it ended.
        params: of the trial.
        options: of each parameter.
        largest_budget: in percentage points.
    """
    state = state_of(attributes)
    trial = optuna.trial.create_trial(
        state=state,
        values=None if state == TrialState.FAIL else values_of(attributes),
        params=dict(params),
        distributions={name: CategoricalDistribution(options[name]) for name in params},
        user_attrs=attributes,
    )
    if state == TrialState.COMPLETE:
        trial.system_attrs = {_CONSTRAINTS: [_excess(attributes, largest_budget)]}
    return trial


def tell(study: optuna.Study, trial: optuna.Trial) -> None:
    """Tell a study of a trial whose end is written: its state, values and constraint.

    Raises:
        UpdateFinishedTrialError, ValueError: another process has told it already.
    """
    attributes = trial_attributes(trial.user_attrs)
    state = state_of(attributes)
    if state == TrialState.FAIL:
        study.tell(trial, state=state)
        return
    excess = _excess(attributes, max(study.user_attrs[BUDGETS]))
    trial.storage.set_trial_system_attr(trial._trial_id, _CONSTRAINTS, [excess])
    study.tell(trial, values_of(attributes), state=state)


def _excess(attributes: Mapping[str, Any], largest_budget: float) -> float:
    """By how many points a drop is above the largest budget; at most 0 where it is feasible.

    A trial of which nothing is known counts as just feasible: most often it was not evaluated
    because a feasible one costs less, so that it is on no front, and nothing speaks for its
    breaking the budget.
    """
    drop = attributes.get(DROP, attributes.get(DROP_LOWER_BOUND))
    return 0.0 if drop is None or not math.isfinite(drop) else float(drop) - largest_budget
