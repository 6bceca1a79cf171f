"""How the next plan is chosen: samplers by name, the first of which knows what plans cost."""

from .registry import SAMPLERS, Observation, Question, Sampler, make_sampler

from .budget import BudgetSampler  # isort: skip - the first to be registered
from . import optuna_samplers  # isort: skip

__all__ = [
    "SAMPLERS",
    "BudgetSampler",
    "Observation",
    "Question",
    "Sampler",
    "make_sampler",
    "optuna_samplers",
]
