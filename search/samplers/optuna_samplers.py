"""Optuna's own samplers, each told about the largest budget as a constraint."""

from optuna.samplers import GPSampler, NSGAIISampler, TPESampler

from .registry import SAMPLERS, Question, Sampler

_NEVER = 10**9


def _further(seed: int, question: Question) -> int:
    """Another seed for a search that goes on: these samplers would draw the same again."""
    return (seed + question.trials) % 2**32


SAMPLERS.register(
    Sampler(
        "tpe",
        "tree-structured Parzen estimator, multivariate (Optuna)",
        lambda seed, question: TPESampler(
            seed=_further(seed, question), multivariate=True, constraints_func=question.excess
        ),
    )
)
SAMPLERS.register(
    Sampler(
        "nsga2",
        "genetic algorithm NSGA-II (Optuna)",
        lambda seed, question: NSGAIISampler(
            seed=_further(seed, question), population_size=20, constraints_func=question.excess
        ),
    )
)
SAMPLERS.register(
    Sampler(
        "gp",
        "Gaussian process (Optuna); over a second per plan once there are many",
        lambda seed, question: GPSampler(
            seed=_further(seed, question), constraints_func=question.excess
        ),
    )
)
SAMPLERS.register(
    Sampler(
        "random",
        "evenly at random",
        # RandomSampler takes no constraints, and the dashboard would not show them; TPE that
        # never leaves its start-up phase draws the same way and does.
        lambda seed, question: TPESampler(
            seed=_further(seed, question), n_startup_trials=_NEVER, constraints_func=question.excess
        ),
    )
)
