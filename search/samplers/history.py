"""A study's trials as encoded rows: observed, pending, and excluded from proposals."""

from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from .encoding import SearchSpaceEncoder
from .objective_cache import ObjectiveCache
from .parameter_encoding import Array
from .problem import Observation, SamplingProblem


@dataclass
class Evaluated:
    """A point with an observed drop or a lower bound of it."""

    row: Array
    drop: float
    is_censored: bool


@dataclass
class History:
    """A study's trials so far.

    Attributes:
        tried: keys of all points that must not be proposed again.
        rows: their rows as bytes; several rows may have the same key.
        evaluated: the observed points, each once, in the order of the trials.
        pending: rows of the points that are being evaluated.
    """

    tried: set[Hashable] = field(default_factory=set)
    rows: set[bytes] = field(default_factory=set)
    evaluated: list[Evaluated] = field(default_factory=list)
    pending: list[Array] = field(default_factory=list)

    @property
    def drops(self) -> Array:
        return np.array([seen.drop for seen in self.evaluated], dtype=np.float64)

    @property
    def is_censored(self) -> NDArray[np.bool_]:
        return np.array([seen.is_censored for seen in self.evaluated], dtype=np.bool_)

    @property
    def evaluated_rows(self) -> Array:
        return np.array([seen.row for seen in self.evaluated], dtype=np.float64)


def read_history(
    study: optuna.Study,
    number: int,
    problem: SamplingProblem,
    encoder: SearchSpaceEncoder,
    costs: ObjectiveCache,
) -> History:
    """Read the history of a study, as seen by the trial of a number."""
    history, by_key = History(), dict[Hashable, Evaluated]()
    for trial in study.get_trials(deepcopy=False):
        if trial.number == number or trial.state == TrialState.WAITING:
            continue
        row = encoder.encode(trial.params)
        if row is None:  # another search space, or a trial without all parameters yet
            continue
        observation = problem.observation(trial)
        if _may_come_again(trial, observation, problem):
            continue
        key = costs.key(row)
        if observation is None:
            if trial.state == TrialState.RUNNING and key not in history.tried:
                history.pending.append(row)
        else:
            _note(by_key, key, Evaluated(row, observation.drop, observation.is_censored))
        history.tried.add(key)
        history.rows.add(row.tobytes())
    history.evaluated = list(by_key.values())
    return history


def _may_come_again(
    trial: FrozenTrial, observation: Observation | None, problem: SamplingProblem
) -> bool:
    return trial.state == TrialState.FAIL and observation is None and problem.retry(trial)


def _note(by_key: dict[Hashable, Evaluated], key: Hashable, evaluated: Evaluated) -> None:
    """Store the first exact drop of a point, or else its highest lower bound."""
    known = by_key.get(key)
    if known is None:
        by_key[key] = evaluated
    elif known.is_censored and (not evaluated.is_censored or evaluated.drop > known.drop):
        known.drop, known.is_censored = evaluated.drop, evaluated.is_censored
