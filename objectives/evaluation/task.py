"""The task of a search: model, data, training recipes and seed."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import numpy

from ...errors import ModelError, WeightsError
from ...lazy_imports import nn
from ...spaces.models import Model, build_model, find_model, load_weights
from ...version import __version__
from ..accuracy.scoring import Metric
from ..cost.objective import DEFAULT_OBJECTIVES
from ..data import DataRequest, Splits, load_data
from ..training.cache import cache_key, tensors_digest
from ..training.device import hardware
from ..training.recipe import Recipes


@dataclass(frozen=True)
class Task:
    """A model, data, training recipes and the random seed.

    Attributes:
        model: the model or its name.
        splits: the images.
        recipes: the training recipes.
        seed: the seed of initial weights, order of images and augmentation.
        weights: a file with the baseline's weights.
        trained: whether the model has trained weights. Without either, the baseline is trained.
        metric: the accuracy metric.
        objectives: names of the objectives to minimize.
    """

    model: str | Model
    splits: Splits
    recipes: Recipes = field(default_factory=Recipes)
    seed: int = 0
    weights: Path | None = None
    trained: bool = False
    metric: Metric = Metric.PLAIN
    objectives: tuple[str, ...] = DEFAULT_OBJECTIVES

    @classmethod
    def load(
        cls,
        model: str | Model,
        data: DataRequest,
        recipes: Recipes,
        seed: int,
        weights: Path | None,
        trained: bool = False,
        metric: Metric = Metric.PLAIN,
        objectives: tuple[str, ...] = DEFAULT_OBJECTIVES,
    ) -> Task:
        """Load the task's data set, with the number of channels that the model needs.

        If weights are given, the search split has images that these have not seen, unless the
        request says otherwise: see `DataRequest.search`.

        Raises:
            UnknownName: unknown model or data set.
            ModelError: `trained` is set, but the model has no weights, or `weights` is set, too.
            DataError: the images cannot be used.
        """
        registered = find_model(model) if isinstance(model, str) else model
        if trained and not registered.has_weights:
            raise ModelError(
                f"{registered.name} has no weights of its own: trained is for a function that "
                "returns a trained network; set weights to a file instead"
            )
        if trained and weights is not None:
            raise ModelError(
                f"expected either trained or weights for {registered.name}, got both: {weights}"
            )
        if registered.channels is not None and data.channels is None:
            data = replace(data, channels=registered.channels)
        if data.weights_given is None:
            data = replace(data, weights_given=trained or weights is not None)
        return cls(registered, load_data(data), recipes, seed, weights, trained, metric, objectives)

    @cached_property
    def made_by(self) -> Model:
        """The model that builds the network."""
        return find_model(self.model) if isinstance(self.model, str) else self.model

    @property
    def trains_baseline(self) -> bool:
        """Whether the baseline must be trained."""
        return self.weights is None and not self.trained

    @property
    def classes(self) -> int:
        return len(self.splits.classes)

    def build(self) -> nn.Module:
        """Build the network with the weights of the file, the model's own, or random ones.

        Raises:
            ModelError, WeightsError: the model or its weights do not match the data.
        """
        from ..training.training_loop import seeded

        with seeded(self.seed):
            network = build_model(self.made_by, self.classes, self.splits.channels)
        if self.weights is not None:
            load_weights(network, self.weights)
        return network

    @cached_property
    def baseline_key(self) -> str:
        """The cache key of the baseline, from everything on which it depends."""
        return cache_key(
            model=f"{self.made_by.name} {self.made_by.digest}".strip(),
            classes=self.classes,
            data=self.splits.fingerprint,
            recipe=asdict(self.recipes.baseline) if self.trains_baseline else None,
            weights=self.weights_digest,
            seed=self.seed,
            versions=versions(),
            hardware=hardware(),
        )

    @cached_property
    def weights_digest(self) -> str | None:
        """SHA-256 of the weights file or of the model's own weights; else None.

        Raises:
            WeightsError: the file cannot be read.
        """
        if self.weights is None:
            return tensors_digest(self.build().state_dict()) if self.trained else None
        try:
            return hashlib.sha256(self.weights.read_bytes()).hexdigest()
        except OSError as error:
            raise WeightsError(f"the weights cannot be read: {error}") from None


def versions() -> dict[str, str]:
    """Return the versions on which a result may depend.

    The number of threads is omitted: it changes only rounding errors.
    """
    return {
        "paredown": __version__,
        "torch": version("torch"),  # without importing it
        "numpy": numpy.__version__,
        "python": platform.python_version(),
    }
