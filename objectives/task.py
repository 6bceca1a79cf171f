"""The question a search answers: which network, on which images, trained how."""

import hashlib
import platform
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy
import torch
from torch import nn

from .. import __version__
from ..errors import WeightsError
from ..spaces.models import MODELS, build_model, load_weights
from .cache import cache_key
from .data import DataRequest, Splits, load_data
from .device import hardware
from .training import Recipe, seeded


@dataclass(frozen=True)
class Recipes:
    """How the baseline is trained, how plans are, and how pruned networks are fine-tuned.

    `quantize` is for plans that train at the bit-widths that they choose.
    """

    baseline: Recipe = field(default_factory=Recipe)
    train: Recipe = field(default_factory=lambda: Recipe(epochs=30, distill=0.5))
    fine_tune: Recipe = field(default_factory=lambda: Recipe(epochs=10, distill=0.5))
    quantize: Recipe = field(default_factory=lambda: Recipe(epochs=5, max_lr=0.002, distill=0.5))


@dataclass(frozen=True)
class Task:
    """A model, its images and recipes, and the seed of everything that is drawn.

    Attributes:
        model: a registered name.
        splits: the images.
        recipes: how networks are trained.
        seed: of initial weights, order of images and augmentation.
        weights: a file with the baseline's weights; without one it is trained.
    """

    model: str
    splits: Splits
    recipes: Recipes = field(default_factory=Recipes)
    seed: int = 0
    weights: Path | None = None

    @classmethod
    def load(
        cls, model: str, data: DataRequest, recipes: Recipes, seed: int, weights: Path | None
    ) -> "Task":
        """The task over a data set, with images of as many channels as the model takes.

        Raises:
            UnknownName: no such model or data set.
            DataError: the images cannot be used.
        """
        wanted = MODELS.get(model).channels
        if wanted is not None and data.channels is None:
            data = replace(data, channels=wanted)
        return cls(model, load_data(data), recipes, seed, weights)

    @property
    def classes(self) -> int:
        return len(self.splits.classes)

    def build(self) -> nn.Module:
        """The model for these images: with the given weights, else random by the seed.

        Raises:
            ModelError, WeightsError: the model or its weights do not fit the images.
        """
        with seeded(self.seed):
            network = build_model(self.model, self.classes, self.splits.channels)
        if self.weights is not None:
            load_weights(network, self.weights)
        return network

    @cached_property
    def baseline_key(self) -> str:
        """Names the baseline by all that it comes from."""
        return cache_key(
            model=self.model,
            classes=self.classes,
            data=self.splits.fingerprint,
            recipe=asdict(self.recipes.baseline) if self.weights is None else None,
            weights=self.weights_digest,
            seed=self.seed,
            versions=versions(),
            hardware=hardware(),
        )

    @cached_property
    def weights_digest(self) -> str | None:
        """SHA-256 of the weights file; None when the baseline is trained.

        Raises:
            WeightsError: it cannot be read.
        """
        if self.weights is None:
            return None
        try:
            return hashlib.sha256(self.weights.read_bytes()).hexdigest()
        except OSError as error:
            raise WeightsError(f"the weights cannot be read: {error}") from None


def versions() -> dict[str, str]:
    """What a result may depend on beside its inputs.

    The number of threads is left out: it changes how sums round, and no more.
    """
    return {
        "paredown": __version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
    }
