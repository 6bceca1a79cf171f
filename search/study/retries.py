"""Retries of failed plans, on the user's request."""

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from ...spaces.space import Space
from .trial_record import TrialRecord, TrialStatus

_RETRY = "retry"
RETRY = {_RETRY: True}
"""User attributes of a trial that retries a failed plan."""


def is_retry(attributes: Mapping[str, Any]) -> bool:
    """Whether a trial with these attributes retries a failed plan."""
    return bool(attributes.get(_RETRY))


def waiting_retries(study: optuna.Study) -> list[FrozenTrial]:
    """The enqueued retries, which any process of the study may run."""
    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    return [trial for trial in waiting if is_retry(trial.user_attrs)]


def queue_failed_plans(study: optuna.Study, records: Sequence[TrialRecord], space: Space) -> None:
    """Enqueue the plans that failed and were not scored in another trial.

    Args:
        study: the study, to whose queue the plans are added in the order of their trials.
        records: records of its trials.
        space: the search space.
    """
    scored = {record.plan for record in records if record.is_scored}
    failed = dict.fromkeys(record.plan for record in records if record.status is TrialStatus.FAILED)
    waiting = [trial.system_attrs.get("fixed_params") for trial in waiting_retries(study)]
    for plan in failed:
        if plan is not None and plan not in scored:
            params = space.params(plan)
            if params not in waiting:
                study.enqueue_trial(params, user_attrs=RETRY)
