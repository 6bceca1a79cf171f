"""A whole space as numbers: points are rows of codes, one for each parameter."""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution

from .parameter_encoding import Array, ParameterEncoder

_LISTED = 4096
"""A space of no more points than these is listed once instead of being sampled."""
_CHANGES = (0.5, 0.3, 0.2)
"""How often a mutation changes one, two or three parameters."""


class SearchSpaceEncoder:
    """Turns points of a space into rows of numbers and back; draws and changes rows."""

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
        """The row of parameters; None if they are no point of the space."""
        codes = list[float]()
        for name, encoder in zip(self.names, self.encoders, strict=True):
            code = encoder.encode(params[name]) if name in params else None
            if code is None:
                return None
            codes.append(code)
        return np.array(codes, dtype=np.float64)

    @cached_property
    def all_points(self) -> Array | None:
        """All points, if there are few."""
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
        """Rows drawn evenly."""
        rows = np.empty((size, len(self.encoders)))
        for column, encoder in enumerate(self.encoders):
            rows[:, column] = encoder.sample(rng, size)
        return rows

    def mutate(self, rows: Array, rng: np.random.Generator) -> Array:
        """The same number of rows, each changed in one to three parameters."""
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
        """Rows that take each parameter from one of two parents."""
        return np.asarray(np.where(rng.random(left.shape) < 0.5, left, right))

    def features(self, rows: Array) -> Array:
        """What a model sees of rows. Where two rows agree in all, their distance is 0."""
        parts = [self.encoders[column].features(rows[:, column]) for column in self._free]
        if not parts:
            return np.zeros((len(rows), 1))
        return np.asarray(np.concatenate(parts, axis=1) / math.sqrt(len(parts)))
