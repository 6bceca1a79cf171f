"""How the next plan is chosen: samplers by name, the first of which knows what plans cost.
Nothing here knows of plans or studies: a sampler sees the parameters of an Optuna study, their
objectives and the drops that were observed."""

from .problem import SAMPLERS, Observation, Sampler, SamplingProblem, make_sampler

from .budget_sampler import BudgetSampler  # isort: skip - the first to be registered
from . import optuna_samplers  # isort: skip

__all__ = [
    "SAMPLERS",
    "BudgetSampler",
    "Observation",
    "Sampler",
    "SamplingProblem",
    "make_sampler",
    "optuna_samplers",
]
