"""What a study has tried, as rows: what was observed, what is pending, what must not come again."""

from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from .encoding import Coding
from .objective_cache import Costs
from .parameter_encoding import Array
from .problem import Observation, Question


@dataclass
class Seen:
    """A point whose drop is known, or at least a bound of it."""

    row: Array
    drop: float
    is_bound: bool


@dataclass
class History:
    """What a study has tried.

    Attributes:
        tried: the keys of all points that are not to be proposed again.
        rows: their rows, without looking whether some mean the same.
        seen: what was observed, each point once, in the order of the trials.
        pending: the rows of points that are being evaluated.
    """

    tried: set[Hashable] = field(default_factory=set)
    rows: set[bytes] = field(default_factory=set)
    seen: list[Seen] = field(default_factory=list)
    pending: list[Array] = field(default_factory=list)

    @property
    def drops(self) -> Array:
        return np.array([seen.drop for seen in self.seen], dtype=np.float64)

    @property
    def is_bound(self) -> NDArray[np.bool_]:
        return np.array([seen.is_bound for seen in self.seen], dtype=np.bool_)

    @property
    def seen_rows(self) -> Array:
        return np.array([seen.row for seen in self.seen], dtype=np.float64)


def read_history(
    study: optuna.Study, number: int, question: Question, coding: Coding, costs: Costs
) -> History:
    """The history of a study as one of its trials finds it."""
    history, by_key = History(), dict[Hashable, Seen]()
    for trial in study.get_trials(deepcopy=False):
        if trial.number == number or trial.state == TrialState.WAITING:
            continue
        row = coding.encode(trial.params)
        if row is None:  # another space, or a trial that has not got all its parameters yet
            continue
        observation = question.observation(trial)
        if _may_come_again(trial, observation, question):
            continue
        key = costs.key(row)
        if observation is None:
            if trial.state == TrialState.RUNNING and key not in history.tried:
                history.pending.append(row)
        else:
            _note(by_key, key, Seen(row, observation.drop, observation.is_bound))
        history.tried.add(key)
        history.rows.add(row.tobytes())
    history.seen = list(by_key.values())
    return history


def _may_come_again(
    trial: FrozenTrial, observation: Observation | None, question: Question
) -> bool:
    return trial.state == TrialState.FAIL and observation is None and question.retry(trial)


def _note(by_key: dict[Hashable, Seen], key: Hashable, found: Seen) -> None:
    """Keep the first exact drop of a point, or else its highest bound."""
    known = by_key.get(key)
    if known is None:
        by_key[key] = found
    elif known.is_bound and (not found.is_bound or found.drop > known.drop):
        known.drop, known.is_bound = found.drop, found.is_bound
