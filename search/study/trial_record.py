"""What a study keeps of each trial, and how it reads it back."""

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
"""What is kept with a trial: name -> value, ready for JSON."""

_LAST_OF_COST = "bytes"

LEFT_RUNNING = "its process is gone"
"""Why a trial was stopped whose run died."""


class TrialStatus(StrEnum):
    """How a trial came to its end."""

    EVALUATED = "evaluated"
    REUSED_WEIGHTS = (
        "reused_weights"  # an earlier trial's network at other bits: nothing was trained
    )
    REPEATED = "repeated"  # the same plan was evaluated before
    EARLY_STOPPED = "early_stopped"  # stopped early: it was not going to keep within any budget
    DOMINATED = "dominated"  # a feasible plan costs less, so it was not trained
    FAILED = "failed"
    STOPPED = "stopped"  # by the user or the system; its plan is proposed again
    RUNNING = "running"


@dataclass(frozen=True)
class TrialRecord:
    """One trial as the study keeps it.

    Attributes:
        number: of the trial.
        status: how it ended.
        plan: what it proposed; None if it ended before that was known.
        cost: of the plan.
        accuracy, drop: percent and percentage points on the search split; None if not trained.
        reason: for trials that were not evaluated, the reason in words.
        seconds: stage -> duration.
        pruned_share: what its pruning removes; None if it prunes nothing.
        checkpoints: name -> its drop there, on the way.
        drop_lower_bound: what its drop would have been at least, if it was stopped early.
        is_free: whether it only rounds a network that was there, even if that failed.
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
        """Whether its drop is known."""
        return self.drop is not None

    @property
    def took_training(self) -> bool:
        """Whether it counts among the trials that a search was asked for; the others are free."""
        return (
            self.status in (TrialStatus.EVALUATED, TrialStatus.EARLY_STOPPED, TrialStatus.FAILED)
            and not self.is_free
        )


def count_trained(records: Iterable[TrialRecord]) -> int:
    """How many of these trials count towards those that a search was asked for."""
    return sum(record.took_training for record in records)


def write(trial: optuna.Trial, attributes: Attributes) -> None:
    """Keep attributes with a trial that runs; how it ended comes last, when all else is there."""
    for name, value in sorted(attributes.items(), key=lambda pair: pair[0] == STATUS):
        trial.set_user_attr(name, value)


def write_stopped(trial: optuna.Trial, why: str) -> None:
    """Note why a trial could not run to its end."""
    write(trial, {STATUS: TrialStatus.STOPPED, REASON: why})


def proposed(plan: Plan, cost: Cost, removed: PrunedShare | None) -> Attributes:
    """What a trial proposes, what that costs, and what its pruning removes."""
    data = {} if removed is None else {PRUNED_SHARE: json.dumps(asdict(removed))}
    return {PLAN: plan.to_json(), **data, **cost.to_dict()}


def evaluated(outcome: Outcome) -> Attributes:
    """What evaluating the trial's plan gave."""
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
    """An evaluation was stopped early; its drop would have been this at least."""
    return {
        STATUS: TrialStatus.EARLY_STOPPED,
        REASON: f"{stopped}; it would have been {lower_bound:+.2f} or more",
        DROP_LOWER_BOUND: lower_bound,
        SECONDS: json.dumps(dict(stopped.seconds)),
        CHECKPOINTS: json.dumps({stopped.checkpoint.name: stopped.checkpoint.drop}),
    }


def reused_weights(outcome: Outcome, earlier: TrialRecord) -> Attributes:
    """What scoring an earlier trial's network at other bits gave."""
    why = f"the network of trial {earlier.number} at other bits"
    return evaluated(outcome) | {STATUS: TrialStatus.REUSED_WEIGHTS, REASON: why}


def repeated(earlier: TrialRecord) -> Attributes:
    """An earlier trial had the same plan; its figures hold, or its failure does."""
    why = f"same plan as trial {earlier.number}"
    data: Attributes = {STATUS: TrialStatus.REPEATED}
    if earlier.drop_lower_bound is not None:
        reason = f"{why}, which was stopped early"
        return data | {REASON: reason, DROP_LOWER_BOUND: earlier.drop_lower_bound}
    if not earlier.is_scored:
        return data | {REASON: f"{why}, which failed"}
    return data | {REASON: why, ACCURACY: earlier.accuracy, DROP: earlier.drop}


def dominated(by: TrialRecord) -> Attributes:
    """A feasible plan costs less than the trial's."""
    why = f"trial {by.number} costs less and is within every budget"
    return {STATUS: TrialStatus.DOMINATED, REASON: why}


def failed(why: str, details: str = "") -> Attributes:
    """Why a trial failed, and a traceback or crash dump, if there is one."""
    return {STATUS: TrialStatus.FAILED, REASON: why} | ({DETAILS: details} if details else {})


class RecordReader:
    """Reads a study's trials again and again; what has ended, and so stays, is parsed once.

    Args:
        study: whose trials.
    """

    def __init__(self, study: optuna.Study) -> None:
        self.study = study
        self._ended = dict[int, TrialRecord]()

    def records(self) -> list[TrialRecord]:
        """The trials of the study as they are now, waiting ones left out."""
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
    """The trials of a study, waiting ones left out."""
    return [_read(trial) for trial in trials if trial.state != TrialState.WAITING]


def observe(trial: FrozenTrial) -> "Observation | None":
    """What is known of a trial's drop; None if it was not evaluated."""
    from ..samplers import Observation  # here: samplers import scipy

    if (drop := _number(trial, DROP)) is not None:
        return Observation(drop)
    lower_bound = _number(trial, DROP_LOWER_BOUND)
    return None if lower_bound is None else Observation(lower_bound, is_censored=True)


def is_failed(trial: FrozenTrial) -> bool:
    """Whether a trial's plan could not be trained or scored."""
    return trial_attributes(trial.user_attrs).get(STATUS) == TrialStatus.FAILED


def is_retried(trial: FrozenTrial) -> bool:
    """Whether a trial ended without having been seen through, so that its plan comes again."""
    return trial_attributes(trial.user_attrs).get(STATUS) == TrialStatus.STOPPED


def is_left_running(trial: FrozenTrial) -> bool:
    """Whether a trial was stopped because its run had died."""
    return is_retried(trial) and trial_attributes(trial.user_attrs).get(REASON) == LEFT_RUNNING


def has_ended(trial: FrozenTrial) -> bool:
    """Whether it is known how a trial ended, though nobody has said that it did."""
    return STATUS in trial_attributes(trial.user_attrs) and not is_retried(trial)


def plan_of(trial: FrozenTrial) -> Plan | None:
    """The plan that a trial proposes; None if it ended before that was known."""
    attrs = trial_attributes(trial.user_attrs)
    return Plan.from_json(attrs[PLAN]) if PLAN in attrs else None


def _number(trial: FrozenTrial, name: str) -> float | None:
    value = trial_attributes(trial.user_attrs).get(name)
    return None if value is None else float(value)


def scored(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The records whose drop is known, each plan once, in the order of their trials."""
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
