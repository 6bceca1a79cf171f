"""Trials whose process died: ended, and their plans proposed once more."""

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
    """End a trial that could not run to its end, and have its plan proposed again.

    Nothing is done if it has ended meanwhile, as by another process that found its worker gone.
    """
    try:
        write_stopped(trial, why)
        study.tell(trial, state=TrialState.FAIL)
    except (optuna.exceptions.UpdateFinishedTrialError, ValueError):
        return
    # A plan that was queued is known before the trial has asked for all of it.
    frozen_trial = study.get_trials(deepcopy=False)[trial.number]
    params = frozen_trial.system_attrs.get("fixed_params") or frozen_trial.params
    if params:
        study.enqueue_trial(params, user_attrs=RETRY if is_retry(frozen_trial.user_attrs) else None)


def worker_mark() -> str:
    """Names this process, so that others can tell whether it still runs."""
    return json.dumps({"host": platform.node(), "pid": os.getpid()})


def bury_dead_trials(study: optuna.Study) -> None:
    """Mark as failed what a killed process left running, so that it is proposed again."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if _is_dead(trial):
            # Another process may be burying it at the same time.
            with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError, ValueError):
                _bury(study, trial)


def _bury(study: optuna.Study, trial: FrozenTrial) -> None:
    """End a trial whose run died: its plan is tried once more, and not a third time."""
    ended, plan = optuna.Trial(study, trial._trial_id), plan_of(trial)
    others = study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
    if has_ended(trial):
        tell(study, ended)
    elif plan is not None and any(is_left_running(o) and plan_of(o) == plan for o in others):
        write(ended, failed("two runs died while it was being evaluated; it is not tried again"))
        study.tell(ended, state=TrialState.FAIL)
    else:
        stop_trial(study, ended, LEFT_RUNNING)


def _is_dead(trial: FrozenTrial) -> bool:
    mark = trial.user_attrs.get(WORKER)
    if mark is None:  # a worker may be about to leave its mark
        began = trial.datetime_start
        return began is None or datetime.now() - began > timedelta(minutes=1)
    worker = json.loads(mark)
    if worker["host"] != platform.node():
        return False  # out of sight: another machine may still be at it
    if worker["pid"] == os.getpid():
        return True  # a number that the system gave out again
    # Not by `os.kill(pid, 0)`: on Windows that ends the process, or sends it Ctrl-C.
    return not psutil.pid_exists(worker["pid"])
