"""What a study asks of a sampler, and the samplers by name."""

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
    """What is known of a trial's drop.

    Attributes:
        drop: in percentage points.
        is_censored: the true drop is at least this; the evaluation was stopped early.
    """

    drop: float
    is_censored: bool = False


def by_items(params: Params) -> Hashable:
    """Tells parameters apart by their values: none that differ mean the same."""
    return tuple(sorted(params.items()))


def never(trial: FrozenTrial) -> bool:
    """No trial is worth another try."""
    return False


@dataclass(frozen=True)
class SamplingProblem:
    """What a study asks, in Optuna's terms.

    Attributes:
        space: the parameters and what they can be.
        objectives: of parameters, all above 0 and to be minimized. They are known without an
            evaluation, but may take milliseconds.
        observe: what is known of a trial's drop; None if nothing is: it runs, it failed, or it was
            never evaluated.
        budgets: the largest drops allowed, in percentage points.
        reference_point: the objectives of the untouched start, from which hypervolume is measured.
        identify: parameters that mean the same give the same.
        evaluation_cost: what an evaluation will take, above 0, in any unit; gains are divided by
            it.
        retry: whether a failed trial's parameters may be proposed again; otherwise no parameters
            are proposed twice.
        step: the smallest difference between two drops, which one image makes; 0 if drops are
            continuous.
        trials: how many the study has had. Samplers that draw in a row begin elsewhere then, so
            that a search that goes on does not draw the same again.
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
        """What is known of a trial's drop, if it is a number."""
        seen = self.observe(trial)
        return seen if seen is not None and math.isfinite(seen.drop) else None


@dataclass(frozen=True)
class Sampler:
    """A way to choose the next plan.

    Attributes:
        name: as written in commands and study files.
        title: in words.
        make: (seed, question) -> the sampler.
    """

    name: str
    title: str
    make: Callable[[int, SamplingProblem], BaseSampler]


SAMPLERS: Registry[Sampler] = Registry("sampler")


def make_sampler(name: str, seed: int, problem: SamplingProblem) -> BaseSampler:
    """A sampler by name.

    Raises:
        UnknownName: no such sampler.
    """
    with warnings.catch_warnings():
        # Optuna marks some of its long-standing samplers and options as experimental.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return SAMPLERS.get(name).make(seed, problem)
