"""Ends trials in Optuna: state, values and constraint from a trial's attributes."""

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
"""The system attribute from which Optuna's samplers and dashboard read constraints.

NOTE: the form from before Optuna 5, whose dashboard does not show `Trial.set_constraint`.
"""


def state_of(attributes: Mapping[str, Any]) -> TrialState:
    """The final state of a trial: failed if its plan failed, in this trial or an earlier one."""
    attributes = trial_attributes(attributes)
    status = TrialStatus(attributes[STATUS])
    known = DROP in attributes or DROP_LOWER_BOUND in attributes
    fails = status is TrialStatus.FAILED or (status is TrialStatus.REPEATED and not known)
    return TrialState.FAIL if fails else TrialState.COMPLETE


def values_of(attributes: Mapping[str, Any]) -> list[float]:
    """The values of a trial: its plan's cost in the study's objectives."""
    return list(Cost.from_dict(attributes).objectives)


def ended_trial(
    attributes: Attributes,
    params: Mapping[str, Any],
    options: Mapping[str, Sequence[Any]],
    largest_budget: float,
) -> FrozenTrial:
    """An ended trial, to be added to a study in one write.

    Args:
        attributes: user attributes of the trial.
        params: parameters of the trial.
        options: parameter -> its options.
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
    """End a trial whose result is written: tell Optuna its state, values and constraint.

    Raises:
        UpdateFinishedTrialError, ValueError: another process has already ended the trial.
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
    """The constraint: drop minus the largest budget, in percentage points; feasible if <= 0.

    A trial without a drop counts as just feasible: most often it was not evaluated because it is
    dominated, so it is on no front, and nothing suggests that it misses the budget.
    """
    drop = attributes.get(DROP, attributes.get(DROP_LOWER_BOUND))
    return 0.0 if drop is None or not math.isfinite(drop) else float(drop) - largest_budget
