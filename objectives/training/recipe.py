"""Training recipes, as in the tables of study files."""

import dataclasses
from dataclasses import field, replace
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Recipe:
    """A training recipe.

    Attributes:
        epochs: passes over the training images; 0 does not train.
        max_lr: peak learning rate of the one-cycle schedule.
        warmup: the share of steps before the peak.
        batch_size: images per step.
        momentum, weight_decay: of SGD.
        distill: the weight of the distillation loss from the baseline; 0 uses only labels.
        temperature: the temperature of distillation.
    """

    epochs: Annotated[int, Field(ge=0, le=10**6)] = 150
    max_lr: Annotated[float, Field(gt=0, le=1e30, allow_inf_nan=False)] = 0.0125
    warmup: Annotated[float, Field(gt=0, lt=1)] = 0.1
    batch_size: Annotated[int, Field(ge=2, le=10**6)] = 128
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 2e-5
    distill: Annotated[float, Field(ge=0, le=1)] = 0.0
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 4.0


def shortened(recipe: Recipe, share: float) -> Recipe:
    """Return a recipe with a share of the epochs; at least one, if there are any."""
    epochs = max(1, round(recipe.epochs * share)) if recipe.epochs else 0
    return replace(recipe, epochs=epochs)


@dataclasses.dataclass(frozen=True)
class Recipes:
    """The recipes of the baseline, of plans, of fine-tuning after pruning, and of quantization.

    `quantize` is for plans with quantization-aware training.
    """

    baseline: Recipe = field(default_factory=Recipe)
    train: Recipe = field(default_factory=lambda: Recipe(epochs=30, distill=0.5))
    fine_tune: Recipe = field(default_factory=lambda: Recipe(epochs=10, distill=0.5))
    quantize: Recipe = field(default_factory=lambda: Recipe(epochs=5, max_lr=0.002, distill=0.5))
