"""Samplers, which propose the next plan: `BudgetSampler` and Optuna's own, registered by name.
Modules here are independent of plans: a sampler sees the parameters of an Optuna study, their known
objectives and the observed drops."""

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
