"""Trials whose process died: they are failed, and their plans are proposed once more."""

import contextlib
import json
import os
import platform
from datetime import datetime, timedelta

import optuna
import psutil
from optuna.trial import FrozenTrial, TrialState

from .attributes import WORKER
from .retries import RETRY, is_retry
from .tell_trial import tell
from .trial_record import (
    LEFT_RUNNING,
    failed,
    has_ended,
    is_left_running,
    plan_of,
    write,
    write_stopped,
)


def stop_trial(study: optuna.Study, trial: optuna.Trial, why: str) -> None:
    """Fail a trial that was interrupted, and enqueue its plan again.

    Does nothing if another process has already ended the trial.
    """
    try:
        write_stopped(trial, why)
        study.tell(trial, state=TrialState.FAIL)
    except (optuna.exceptions.UpdateFinishedTrialError, ValueError):
        return
    # The plan of an enqueued trial is known even before all its parameters are suggested.
    frozen_trial = study.get_trials(deepcopy=False)[trial.number]
    params = frozen_trial.system_attrs.get("fixed_params") or frozen_trial.params
    if params:
        study.enqueue_trial(params, user_attrs=RETRY if is_retry(frozen_trial.user_attrs) else None)


def worker_mark() -> str:
    """The identity of this process, by which others can check whether it is running."""
    return json.dumps({"host": platform.node(), "pid": os.getpid()})


def bury_dead_trials(study: optuna.Study) -> None:
    """Fail trials that a killed process left in state RUNNING, and enqueue their plans again."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if _is_dead(trial):
            # Another process may be ending it at the same time.
            with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError, ValueError):
                _bury(study, trial)


def _bury(study: optuna.Study, trial: FrozenTrial) -> None:
    """End a trial whose process died; its plan is retried once, not twice."""
    ended, plan = optuna.Trial(study, trial._trial_id), plan_of(trial)
    others = study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
    if has_ended(trial):
        tell(study, ended)
    elif plan is not None and any(is_left_running(o) and plan_of(o) == plan for o in others):
        write(ended, failed("two runs died while evaluating this plan; it is not retried"))
        study.tell(ended, state=TrialState.FAIL)
    else:
        stop_trial(study, ended, LEFT_RUNNING)


def _is_dead(trial: FrozenTrial) -> bool:
    mark = trial.user_attrs.get(WORKER)
    if mark is None:  # the worker may be about to write its mark
        began = trial.datetime_start
        return began is None or datetime.now() - began > timedelta(minutes=1)
    worker = json.loads(mark)
    if worker["host"] != platform.node():
        return False  # another machine, whose processes cannot be checked
    if worker["pid"] == os.getpid():
        return True  # the pid was reused for this process
    # NOTE: not `os.kill(pid, 0)`, which on Windows ends the process or sends Ctrl-C.
    return not psutil.pid_exists(worker["pid"])
