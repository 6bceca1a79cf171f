"""Records of trials: writing them as user attributes, and reading them back."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from ...objectives.cost.cost import Cost
from ...objectives.cost.pruned_share import PrunedShare
from ...objectives.evaluation.checkpoints import EarlyStopped
from ...objectives.evaluation.outcome import Outcome
from ...spaces.plan import Plan
from .attributes import (
    ACCURACY,
    CHECKPOINTS,
    DETAILS,
    DROP,
    DROP_LOWER_BOUND,
    FREE,
    PLAN,
    PRUNED_SHARE,
    REASON,
    SECONDS,
    STATUS,
)
from .legacy_names import trial_attributes

if TYPE_CHECKING:
    from ..samplers import Observation

Attributes = dict[str, Any]
"""User attributes of a trial: name -> JSON value."""

_LAST_OF_COST = "bytes"

LEFT_RUNNING = "its process is gone"
"""Reason of a trial that was stopped because its process died. Stored and compared."""


class TrialStatus(StrEnum):
    """The status of a trial."""

    EVALUATED = "evaluated"
    REUSED_WEIGHTS = "reused_weights"  # an earlier trial's network at other bits; no training
    REPEATED = "repeated"  # the same plan was evaluated before
    EARLY_STOPPED = "early_stopped"  # predicted to miss every budget
    DOMINATED = "dominated"  # a feasible plan costs less, so it was not trained
    FAILED = "failed"
    STOPPED = "stopped"  # by the user or the system; its plan is proposed again
    RUNNING = "running"


@dataclass(frozen=True)
class TrialRecord:
    """The record of one trial.

    Attributes:
        number: number of the trial.
        status: status of the trial.
        plan: the proposed plan; None if the trial ended before it was known.
        cost: predicted cost of the plan.
        accuracy, drop: in percent and percentage points, on the search split; None if not scored.
        reason: why a trial was not evaluated, in words.
        seconds: stage -> duration.
        pruned_share: what the plan's pruning removes; None if it prunes nothing.
        checkpoints: name of a checkpoint -> drop there.
        drop_lower_bound: lower bound of the final drop, if the trial was stopped early.
        is_free: whether the trial only quantizes a trained network, even if that failed.
    """

    number: int
    status: TrialStatus
    plan: Plan | None = None
    cost: Cost | None = None
    accuracy: float | None = None
    drop: float | None = None
    reason: str = ""
    seconds: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    pruned_share: PrunedShare | None = None
    checkpoints: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    drop_lower_bound: float | None = None
    is_free: bool = False

    @property
    def is_scored(self) -> bool:
        """Whether the drop is known."""
        return self.drop is not None

    @property
    def took_training(self) -> bool:
        """Whether the trial counts towards `trials`; trials without training do not."""
        return (
            self.status in (TrialStatus.EVALUATED, TrialStatus.EARLY_STOPPED, TrialStatus.FAILED)
            and not self.is_free
        )


def count_trained(records: Iterable[TrialRecord]) -> int:
    """Number of trials that count towards `trials`."""
    return sum(record.took_training for record in records)


def write(trial: optuna.Trial, attributes: Attributes) -> None:
    """Write attributes to a running trial; the status last, so that it marks a complete record."""
    for name, value in sorted(attributes.items(), key=lambda pair: pair[0] == STATUS):
        trial.set_user_attr(name, value)


def write_stopped(trial: optuna.Trial, why: str) -> None:
    """Write the reason why a trial was interrupted."""
    write(trial, {STATUS: TrialStatus.STOPPED, REASON: why})


def proposed(plan: Plan, cost: Cost, removed: PrunedShare | None) -> Attributes:
    """Attributes of a proposed plan: plan, cost and pruned share."""
    data = {} if removed is None else {PRUNED_SHARE: json.dumps(asdict(removed))}
    return {PLAN: plan.to_json(), **data, **cost.to_dict()}


def evaluated(outcome: Outcome) -> Attributes:
    """Attributes of an evaluated plan."""
    return {
        STATUS: TrialStatus.EVALUATED,
        ACCURACY: outcome.accuracy,
        DROP: outcome.drop,
        SECONDS: json.dumps(dict(outcome.seconds)),
        CHECKPOINTS: json.dumps(
            {checkpoint.name: checkpoint.drop for checkpoint in outcome.checkpoints}
        ),
    }


def early_stopped(stopped: EarlyStopped, lower_bound: float) -> Attributes:
    """Attributes of a plan that was stopped early, with a lower bound of its drop."""
    return {
        STATUS: TrialStatus.EARLY_STOPPED,
        REASON: f"{stopped}; it would have been {lower_bound:+.2f} or more",
        DROP_LOWER_BOUND: lower_bound,
        SECONDS: json.dumps(dict(stopped.seconds)),
        CHECKPOINTS: json.dumps({stopped.checkpoint.name: stopped.checkpoint.drop}),
    }


def reused_weights(outcome: Outcome, earlier: TrialRecord) -> Attributes:
    """Attributes of a plan that was scored with an earlier trial's weights."""
    why = f"the network of trial {earlier.number} at other bits"
    return evaluated(outcome) | {STATUS: TrialStatus.REUSED_WEIGHTS, REASON: why}


def repeated(earlier: TrialRecord) -> Attributes:
    """Attributes of a repeated plan: those of the earlier trial, or its failure."""
    why = f"same plan as trial {earlier.number}"
    data: Attributes = {STATUS: TrialStatus.REPEATED}
    if earlier.drop_lower_bound is not None:
        reason = f"{why}, which was stopped early"
        return data | {REASON: reason, DROP_LOWER_BOUND: earlier.drop_lower_bound}
    if not earlier.is_scored:
        return data | {REASON: f"{why}, which failed"}
    return data | {REASON: why, ACCURACY: earlier.accuracy, DROP: earlier.drop}


def dominated(by: TrialRecord) -> Attributes:
    """Attributes of a plan that a feasible plan dominates."""
    why = f"trial {by.number} costs less and is within every budget"
    return {STATUS: TrialStatus.DOMINATED, REASON: why}


def failed(why: str, details: str = "") -> Attributes:
    """Attributes of a failed plan: reason, and traceback or crash dump if there is one."""
    return {STATUS: TrialStatus.FAILED, REASON: why} | ({DETAILS: details} if details else {})


class RecordReader:
    """Reads a study's trials repeatedly; records of ended trials are cached.

    Args:
        study: the study.
    """

    def __init__(self, study: optuna.Study) -> None:
        self.study = study
        self._ended = dict[int, TrialRecord]()

    def records(self) -> list[TrialRecord]:
        """The current records of the study's trials, without waiting ones."""
        trials = self.study.get_trials(deepcopy=False)
        return [self._read(trial) for trial in trials if trial.state != TrialState.WAITING]

    def _read(self, trial: FrozenTrial) -> TrialRecord:
        known = self._ended.get(trial.number)
        if known is None:
            known = _read(trial)
            if trial.state.is_finished():
                self._ended[trial.number] = known
        return known


def read_records(trials: Iterable[FrozenTrial]) -> list[TrialRecord]:
    """Records of trials, without waiting ones."""
    return [_read(trial) for trial in trials if trial.state != TrialState.WAITING]


def observe(trial: FrozenTrial) -> "Observation | None":
    """The observed drop of a trial; None if it was not evaluated."""
    from ..samplers import Observation  # deferred: samplers import scipy

    if (drop := _number(trial, DROP)) is not None:
        return Observation(drop)
    lower_bound = _number(trial, DROP_LOWER_BOUND)
    return None if lower_bound is None else Observation(lower_bound, is_censored=True)


def is_failed(trial: FrozenTrial) -> bool:
    """Whether a trial failed."""
    return trial_attributes(trial.user_attrs).get(STATUS) == TrialStatus.FAILED


def is_retried(trial: FrozenTrial) -> bool:
    """Whether a trial was interrupted, so that its plan is proposed again."""
    return trial_attributes(trial.user_attrs).get(STATUS) == TrialStatus.STOPPED


def is_left_running(trial: FrozenTrial) -> bool:
    """Whether a trial was stopped because its process died."""
    return is_retried(trial) and trial_attributes(trial.user_attrs).get(REASON) == LEFT_RUNNING


def has_ended(trial: FrozenTrial) -> bool:
    """Whether a trial's result is written, even if its state is still RUNNING."""
    return STATUS in trial_attributes(trial.user_attrs) and not is_retried(trial)


def plan_of(trial: FrozenTrial) -> Plan | None:
    """The plan of a trial; None if the trial ended before it was known."""
    attrs = trial_attributes(trial.user_attrs)
    return Plan.from_json(attrs[PLAN]) if PLAN in attrs else None


def _number(trial: FrozenTrial, name: str) -> float | None:
    value = trial_attributes(trial.user_attrs).get(name)
    return None if value is None else float(value)


def scored(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The first scored record of each plan, in the order of the trials."""
    by_plan = dict[Plan, TrialRecord]()
    for record in records:
        if record.plan is not None and record.is_scored:
            by_plan.setdefault(record.plan, record)
    return list(by_plan.values())


def _read(trial: FrozenTrial) -> TrialRecord:
    attrs = trial_attributes(trial.user_attrs)
    drop = _number(trial, DROP)
    return TrialRecord(
        number=trial.number,
        status=_status(trial),
        plan=plan_of(trial),
        cost=Cost.from_dict(attrs) if _LAST_OF_COST in attrs else None,
        accuracy=None if drop is None else float(attrs[ACCURACY]),
        drop=drop,
        reason=str(attrs.get(REASON, "")),
        seconds=MappingProxyType(json.loads(attrs.get(SECONDS, "{}"))),
        pruned_share=PrunedShare(**json.loads(attrs[PRUNED_SHARE]))
        if PRUNED_SHARE in attrs
        else None,
        checkpoints=MappingProxyType(json.loads(attrs.get(CHECKPOINTS, "{}"))),
        drop_lower_bound=_number(trial, DROP_LOWER_BOUND),
        is_free=bool(attrs.get(FREE)),
    )


def _status(trial: FrozenTrial) -> TrialStatus:
    if trial.state == TrialState.RUNNING:
        return TrialStatus.RUNNING
    ended_as = TrialStatus.FAILED if trial.state == TrialState.FAIL else TrialStatus.EVALUATED
    return TrialStatus(trial_attributes(trial.user_attrs).get(STATUS, ended_as))
