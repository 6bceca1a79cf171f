"""Optuna's samplers by name, each told about the budget as a constraint."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import optuna
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, TPESampler
from optuna.trial import FrozenTrial

from ..spaces.registry import Registry

Constraints = Callable[[FrozenTrial], Sequence[float]]
"""What a finished trial breaks: a figure per constraint, above 0 where it is broken."""

_NEVER = 10**9


@dataclass(frozen=True)
class Sampler:
    """A way to choose the next plan.

    Attributes:
        name: as written in commands and study files.
        title: in words.
        make: (seed, constraints) -> the sampler.
    """

    name: str
    title: str
    make: Callable[[int, Constraints], BaseSampler]


SAMPLERS: Registry[Sampler] = Registry("sampler")


def make_sampler(name: str, seed: int, constraints: Constraints) -> BaseSampler:
    """A sampler by name.

    Raises:
        UnknownName: no such sampler.
    """
    with warnings.catch_warnings():
        # Optuna marks several of its long-standing options as experimental, and constraints_func
        # as deprecated in favour of Trial.set_constraint, which its dashboard does not show yet.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.simplefilter("ignore", FutureWarning)
        return SAMPLERS.get(name).make(seed, constraints)


SAMPLERS.register(
    Sampler(
        "tpe",
        "tree-structured Parzen estimator, multivariate (Optuna)",
        lambda seed, constraints: TPESampler(
            seed=seed, multivariate=True, constraints_func=constraints
        ),
    )
)
SAMPLERS.register(
    Sampler(
        "nsga2",
        "genetic algorithm NSGA-II (Optuna)",
        lambda seed, constraints: NSGAIISampler(
            seed=seed, population_size=20, constraints_func=constraints
        ),
    )
)
SAMPLERS.register(
    Sampler(
        "gp",
        "Gaussian process (Optuna); over a second per plan once there are many",
        lambda seed, constraints: GPSampler(seed=seed, constraints_func=constraints),
    )
)
SAMPLERS.register(
    Sampler(
        "random",
        "evenly at random",
        # RandomSampler takes no constraints, and the dashboard would not show them; TPE that
        # never leaves its start-up phase draws the same way and does.
        lambda seed, constraints: TPESampler(
            seed=seed, n_startup_trials=_NEVER, constraints_func=constraints
        ),
    )
)
