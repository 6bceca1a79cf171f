"""How networks are trained: what a study's tables of recipes say."""

import dataclasses
from dataclasses import field, replace
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Recipe:
    """How a network is trained.

    Attributes:
        epochs: passes over the training images; 0 leaves the weights as they are.
        max_lr: the peak of the one-cycle schedule.
        warmup: the share of steps before the peak.
        batch_size: images per step.
        momentum, weight_decay: of SGD.
        distill: the share of the loss that comes from the baseline's answers; 0 is labels alone.
        temperature: softens both answers before they are compared.
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
    """A recipe for a share of the epochs; one at least, if there are any."""
    epochs = max(1, round(recipe.epochs * share)) if recipe.epochs else 0
    return replace(recipe, epochs=epochs)


@dataclasses.dataclass(frozen=True)
class Recipes:
    """How the baseline is trained, how plans are, and how pruned networks are fine-tuned.

    `quantize` is for plans that train at the bit-widths that they choose.
    """

    baseline: Recipe = field(default_factory=Recipe)
    train: Recipe = field(default_factory=lambda: Recipe(epochs=30, distill=0.5))
    fine_tune: Recipe = field(default_factory=lambda: Recipe(epochs=10, distill=0.5))
    quantize: Recipe = field(default_factory=lambda: Recipe(epochs=5, max_lr=0.002, distill=0.5))
