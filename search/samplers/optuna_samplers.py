"""Optuna's own samplers. They read each trial's constraint, which the search loop writes."""

from optuna.samplers import GPSampler, NSGAIISampler, RandomSampler, TPESampler

from .problem import SAMPLERS, Question, Sampler


def _further(seed: int, question: Question) -> int:
    """Another seed for a search that goes on: these samplers would draw the same again."""
    return (seed + question.trials) % 2**32


SAMPLERS.register(
    Sampler(
        "tpe",
        "tree-structured Parzen estimator, multivariate (Optuna)",
        lambda seed, question: TPESampler(seed=_further(seed, question), multivariate=True),
    )
)
SAMPLERS.register(
    Sampler(
        "nsga2",
        "genetic algorithm NSGA-II (Optuna)",
        lambda seed, question: NSGAIISampler(seed=_further(seed, question), population_size=20),
    )
)
SAMPLERS.register(
    Sampler(
        "gp",
        "Gaussian process (Optuna); over a second per plan once there are many",
        lambda seed, question: GPSampler(seed=_further(seed, question)),
    )
)
SAMPLERS.register(
    Sampler(
        "random",
        "uniformly at random (Optuna)",
        lambda seed, question: RandomSampler(seed=_further(seed, question)),
    )
)
