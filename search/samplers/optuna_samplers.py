"""Optuna's own samplers. They read each trial's constraint, which `study.tell_trial` writes."""

from optuna.samplers import GPSampler, NSGAIISampler, RandomSampler, TPESampler

from .problem import SAMPLERS, Sampler, SamplingProblem


def _further(seed: int, problem: SamplingProblem) -> int:
    """A new seed for each run: with the same one, a resumed search would repeat its samples."""
    return (seed + problem.trials) % 2**32


SAMPLERS.register(
    Sampler(
        "tpe",
        "tree-structured Parzen estimator, multivariate (Optuna)",
        lambda seed, problem: TPESampler(seed=_further(seed, problem), multivariate=True),
    )
)
SAMPLERS.register(
    Sampler(
        "nsga2",
        "genetic algorithm NSGA-II (Optuna)",
        lambda seed, problem: NSGAIISampler(seed=_further(seed, problem), population_size=20),
    )
)
SAMPLERS.register(
    Sampler(
        "gp",
        "Gaussian process (Optuna); over a second per plan once there are many trials",
        lambda seed, problem: GPSampler(seed=_further(seed, problem)),
    )
)
SAMPLERS.register(
    Sampler(
        "random",
        "uniformly at random (Optuna)",
        lambda seed, problem: RandomSampler(seed=_further(seed, problem)),
    )
)
