"""Plans that failed, tried once more because the user asks for it."""

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from ...spaces.space import Space
from .trial_record import TrialRecord, TrialStatus

_RETRY = "retry"
RETRY = {_RETRY: True}
"""Kept with a trial that tries a plan once more although it failed."""


def is_retry(attributes: Mapping[str, Any]) -> bool:
    """Whether a trial with these attributes tries a plan once more that failed."""
    return bool(attributes.get(_RETRY))


def waiting_retries(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that wait to try something once more; any process of the study may take one."""
    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    return [trial for trial in waiting if is_retry(trial.user_attrs)]


def queue_failed_plans(study: optuna.Study, records: Sequence[TrialRecord], space: Space) -> None:
    """Let plans be proposed again that failed, and were not scored in another trial.

    Args:
        study: whose queue they join, in the order of their trials.
        records: of its trials.
        space: of the plans.
    """
    scored = {record.plan for record in records if record.is_scored}
    failed = dict.fromkeys(record.plan for record in records if record.status is TrialStatus.FAILED)
    waiting = [trial.system_attrs.get("fixed_params") for trial in waiting_retries(study)]
    for plan in failed:
        if plan is not None and plan not in scored:
            params = space.params(plan)
            if params not in waiting:
                study.enqueue_trial(params, user_attrs=RETRY)
