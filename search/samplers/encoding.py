"""Encoding of a search space: a point is a row of codes, one per parameter."""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution

from .parameter_encoding import Array, ParameterEncoder

_LISTED = 4096
"""Spaces of at most this many points are listed instead of sampled."""
_CHANGES = (0.5, 0.3, 0.2)
"""Probabilities that a mutation changes one, two or three parameters."""


class SearchSpaceEncoder:
    """Encodes points of a search space as rows of numbers; samples and mutates rows."""

    def __init__(self, space: Mapping[str, BaseDistribution]) -> None:
        self.names = tuple(space)
        self.encoders = tuple(ParameterEncoder.of(distribution) for distribution in space.values())
        self._free = np.array(
            [i for i, encoder in enumerate(self.encoders) if encoder.count > 1], dtype=int
        )

    def decode(self, row: Array) -> dict[str, Any]:
        """The parameters of a row."""
        pairs = zip(self.names, self.encoders, row, strict=True)
        return {name: encoder.decode(float(code)) for name, encoder, code in pairs}

    def encode(self, params: Mapping[str, Any]) -> Array | None:
        """The row of parameters; None if they are not in the space."""
        codes = list[float]()
        for name, encoder in zip(self.names, self.encoders, strict=True):
            code = encoder.encode(params[name]) if name in params else None
            if code is None:
                return None
            codes.append(code)
        return np.array(codes, dtype=np.float64)

    @cached_property
    def all_points(self) -> Array | None:
        """All points of a small space; None for larger ones."""
        counts = [encoder.count for encoder in self.encoders]
        if math.prod(counts) > _LISTED:
            return None
        grids = np.meshgrid(*(np.arange(count) for count in counts), indexing="ij")
        rows = np.stack([grid.ravel() for grid in grids], axis=1) if grids else np.zeros((1, 0))
        for column, encoder in enumerate(self.encoders):
            if encoder.count == 1:
                rows[:, column] = encoder.sample(np.random.default_rng(0), 1)[0]
        return np.asarray(rows, dtype=np.float64)

    def sample(self, rng: np.random.Generator, size: int) -> Array:
        """Uniform samples."""
        rows = np.empty((size, len(self.encoders)))
        for column, encoder in enumerate(self.encoders):
            rows[:, column] = encoder.sample(rng, size)
        return rows

    def mutate(self, rows: Array, rng: np.random.Generator) -> Array:
        """Rows with one to three parameters changed in each."""
        rows = rows.copy()
        if not len(self._free) or not len(rows):
            return rows
        order = rng.random((len(rows), len(self._free))).argsort(axis=1)
        changes = rng.choice(len(_CHANGES), len(rows), p=_CHANGES) + 1
        picked = order < changes[:, None]
        for place, column in enumerate(self._free):
            chosen = picked[:, place]
            rows[chosen, column] = self.encoders[column].change(rows[chosen, column], rng)
        return rows

    def cross(self, left: Array, right: Array, rng: np.random.Generator) -> Array:
        """Uniform crossover of two sets of rows."""
        return np.asarray(np.where(rng.random(left.shape) < 0.5, left, right))

    def features(self, rows: Array) -> Array:
        """(rows, features) for the model."""
        parts = [self.encoders[column].features(rows[:, column]) for column in self._free]
        if not parts:
            return np.zeros((len(rows), 1))
        return np.asarray(np.concatenate(parts, axis=1) / math.sqrt(len(parts)))
