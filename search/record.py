"""What a study keeps of each trial, and how it reads it back. The one place for attribute names."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from types import MappingProxyType

import optuna
from optuna.trial import FrozenTrial, TrialState

from ..objectives.cost import Cost
from ..objectives.outcome import Outcome
from ..objectives.removal import Removal
from ..spaces.plan import Plan

PLAN = "plan"
HOW = "how"
WHY = "why"
WORKER = "worker"
ACCURACY = "accuracy_percent"
DROP = "drop_pp"
SECONDS = "seconds"
REMOVED = "removed"
_COST = ("params", "params_effective", "macs", "flops_effective", "bops", "bytes")


class How(StrEnum):
    """How a trial came to its end."""

    EVALUATED = "evaluated"
    SHARED = "shared"  # the network of an earlier trial at other bits: nothing was trained
    REPEATED = "repeated"  # the same plan was evaluated before
    BEATEN = "beaten"  # a feasible plan costs less, so it was not trained
    FAILED = "failed"
    STOPPED = "stopped"  # by the user or the system; its plan is proposed again
    RUNNING = "running"


@dataclass(frozen=True)
class Record:
    """One trial as the study keeps it.

    Attributes:
        number: of the trial.
        how: how it ended.
        plan: what it proposed; None if it ended before that was known.
        cost: of the plan.
        accuracy, drop: percent and percentage points on the search split; None if not trained.
        why: for trials that were not evaluated, the reason in words.
        seconds: stage -> duration.
        removed: what its pruning removes; None if it prunes nothing.
    """

    number: int
    how: How
    plan: Plan | None = None
    cost: Cost | None = None
    accuracy: float | None = None
    drop: float | None = None
    why: str = ""
    seconds: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    removed: Removal | None = None

    @property
    def is_scored(self) -> bool:
        """Whether its drop is known."""
        return self.drop is not None

    @property
    def took_training(self) -> bool:
        """Whether it counts among the trials that a search was asked for; the others are free."""
        return self.how in (How.EVALUATED, How.FAILED)


def count_trained(records: Iterable[Record]) -> int:
    """How many of these trials count towards those that a search was asked for."""
    return sum(record.took_training for record in records)


def write_plan(trial: optuna.Trial, plan: Plan, cost: Cost, removed: Removal | None) -> None:
    """Note what a trial proposes, what that costs, and what its pruning removes."""
    trial.set_user_attr(PLAN, plan.to_json())
    if removed is not None:
        trial.set_user_attr(REMOVED, json.dumps(asdict(removed)))
    for name, value in cost.to_dict().items():
        trial.set_user_attr(name, value)


def write_outcome(trial: optuna.Trial, outcome: Outcome) -> None:
    """Note what evaluating the trial's plan gave."""
    trial.set_user_attr(HOW, How.EVALUATED)
    trial.set_user_attr(ACCURACY, outcome.accuracy)
    trial.set_user_attr(DROP, outcome.drop)
    trial.set_user_attr(SECONDS, json.dumps(dict(outcome.seconds)))


def write_shared(trial: optuna.Trial, outcome: Outcome, earlier: Record) -> None:
    """Note what scoring an earlier trial's network at other bits gave."""
    write_outcome(trial, outcome)
    trial.set_user_attr(HOW, How.SHARED)
    trial.set_user_attr(WHY, f"the network of trial {earlier.number} at other bits")


def write_repeat(trial: optuna.Trial, earlier: Record) -> None:
    """Note that an earlier trial had the same plan; its figures hold, or its failure does."""
    trial.set_user_attr(HOW, How.REPEATED)
    if earlier.is_scored:
        trial.set_user_attr(WHY, f"same plan as trial {earlier.number}")
        trial.set_user_attr(ACCURACY, earlier.accuracy)
        trial.set_user_attr(DROP, earlier.drop)
    else:
        trial.set_user_attr(WHY, f"same plan as trial {earlier.number}, which failed")


def write_beaten(trial: optuna.Trial, by: Record) -> None:
    """Note that a feasible plan costs less than the trial's."""
    trial.set_user_attr(HOW, How.BEATEN)
    trial.set_user_attr(WHY, f"trial {by.number} costs less and is within every budget")


def write_stopped(trial: optuna.Trial, why: str) -> None:
    """Note why a trial could not run to its end."""
    trial.set_user_attr(HOW, How.STOPPED)
    trial.set_user_attr(WHY, why)


def write_failure(trial: optuna.Trial, why: str) -> None:
    """Note why a trial failed."""
    trial.set_user_attr(HOW, How.FAILED)
    trial.set_user_attr(WHY, why)


def read_records(trials: Iterable[FrozenTrial]) -> list[Record]:
    """The trials of a study, waiting ones left out."""
    return [_read(trial) for trial in trials if trial.state != TrialState.WAITING]


def drop_of(trial: FrozenTrial) -> float | None:
    """The drop of a trial in percentage points, if it is known."""
    value = trial.user_attrs.get(DROP)
    return None if value is None else float(value)


def scored(records: Sequence[Record]) -> list[Record]:
    """The records whose drop is known, each plan once, in the order of their trials."""
    by_plan = dict[Plan, Record]()
    for record in records:
        if record.plan is not None and record.is_scored:
            by_plan.setdefault(record.plan, record)
    return list(by_plan.values())


def _read(trial: FrozenTrial) -> Record:
    attrs = trial.user_attrs
    drop = drop_of(trial)
    return Record(
        number=trial.number,
        how=_how(trial),
        plan=Plan.from_json(attrs[PLAN]) if PLAN in attrs else None,
        cost=Cost(**{name: attrs[name] for name in _COST}) if _COST[-1] in attrs else None,
        accuracy=None if drop is None else float(attrs[ACCURACY]),
        drop=drop,
        why=str(attrs.get(WHY, "")),
        seconds=MappingProxyType(json.loads(attrs.get(SECONDS, "{}"))),
        removed=Removal(**json.loads(attrs[REMOVED])) if REMOVED in attrs else None,
    )


def _how(trial: FrozenTrial) -> How:
    if trial.state == TrialState.RUNNING:
        return How.RUNNING
    ended_as = How.FAILED if trial.state == TrialState.FAIL else How.EVALUATED
    return How(trial.user_attrs.get(HOW, ended_as))
