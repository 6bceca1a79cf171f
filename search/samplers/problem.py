"""The interface between a search and its samplers, and the registry of samplers."""

import math
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from ...registry import Registry

Params = Mapping[str, Any]


@dataclass(frozen=True)
class Observation:
    """The observed drop of a trial.

    Attributes:
        drop: in percentage points.
        is_censored: whether `drop` is only a lower bound, as after early stopping.
    """

    drop: float
    is_censored: bool = False


def by_items(params: Params) -> Hashable:
    """Identify parameters by their values."""
    return tuple(sorted(params.items()))


def never(trial: FrozenTrial) -> bool:
    """Never propose a failed trial's parameters again."""
    return False


@dataclass(frozen=True)
class SamplingProblem:
    """A study's optimization problem in Optuna's terms.

    A sampler receives the problem once, before the first trial of a run. In each `study.ask` it may
    then call `observe`, `retry` and `identify` for the trials so far, and `objectives`, `identify`
    and `evaluation_cost` for candidates, in any order.

    Attributes:
        space: the parameters and their distributions.
        objectives: parameters -> objectives, all positive and minimized. They are known without an
            evaluation; a call may take milliseconds.
        observe: the observed drop of a trial; None if the trial is running, failed or was never
            evaluated.
        budgets: the largest allowed drops, in percentage points.
        reference_point: the objectives of the baseline, the reference point of the hypervolume.
        identify: parameters -> identity; parameters with the same identity are the same plan.
        evaluation_cost: parameters -> cost of the evaluation, positive, in any unit; improvements
            are divided by it.
        retry: whether a failed trial's parameters may be proposed again; other parameters are never
            proposed twice.
        step: the smallest difference between two drops (one image); 0 if drops are continuous.
        trials: number of trials before this run; samplers with a sequence of random numbers add it
            to their seed, so that a resumed search does not repeat its samples.
    """

    space: Mapping[str, BaseDistribution]
    objectives: Callable[[Params], Sequence[float]]
    observe: Callable[[FrozenTrial], Observation | None]
    budgets: Sequence[float]
    reference_point: Sequence[float]
    identify: Callable[[Params], Hashable] = by_items
    evaluation_cost: Callable[[Params], float] | None = None
    retry: Callable[[FrozenTrial], bool] = never
    step: float = 0.0
    trials: int = 0

    def observation(self, trial: FrozenTrial) -> Observation | None:
        """The observed drop of a trial, if it is finite."""
        seen = self.observe(trial)
        return seen if seen is not None and math.isfinite(seen.drop) else None


@dataclass(frozen=True)
class Sampler:
    """A registered sampler.

    `make` is called once per run of a search, before its first trial, with the trials of earlier
    runs already in the study. The search then calls the Optuna sampler through `study.ask` and
    `study.tell` alone.

    Attributes:
        name: name in commands and study files.
        title: description for users.
        make: (seed, problem) -> the Optuna sampler.
    """

    name: str
    title: str
    make: Callable[[int, SamplingProblem], BaseSampler]


SAMPLERS: Registry[Sampler] = Registry("sampler")


def make_sampler(name: str, seed: int, problem: SamplingProblem) -> BaseSampler:
    """Create a registered sampler.

    Raises:
        UnknownName: no such sampler.
    """
    with warnings.catch_warnings():
        # Optuna marks some of its long-standing samplers and options as experimental.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return SAMPLERS.get(name).make(seed, problem)
