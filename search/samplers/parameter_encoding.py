"""Encoding of one parameter: sampling, mutation, and features for the model."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

Array = NDArray[np.float64]

_REACH = 0.3
"""Length scale of the similarity of numbers, relative to their range."""
_OWN = 0.2
"""Share of a numeric choice's effect that is independent of its neighbours, as the order of choices
may be meaningless."""
_KNOTS = 6
_TABLED = 32
"""Numbers with at most this many values have a table of features; for others, features are their
similarities to `_KNOTS` knots."""


@dataclass(frozen=True)
class ParameterEncoder:
    """Encodes the values of one parameter as codes.

    The code of a discrete value is its index; the code of a continuous value is the value.

    Attributes:
        low: the smallest value, for numbers.
        high: the largest value, for numbers.
        step: distance of two values; 0 for continuous parameters.
        log: whether the scale is logarithmic.
        whole: whether values are integers.
        choices: the choices of a categorical parameter; else empty.
    """

    low: float
    high: float
    step: float
    log: bool = False
    whole: bool = False
    choices: tuple[Any, ...] = ()

    @classmethod
    def of(cls, distribution: BaseDistribution) -> "ParameterEncoder":
        """The encoder of an Optuna distribution."""
        if isinstance(distribution, CategoricalDistribution):
            choices = distribution.choices
            return cls(0, len(choices) - 1, 1, choices=tuple(choices))
        if isinstance(distribution, IntDistribution):
            low, high, step = distribution.low, distribution.high, distribution.step
            return cls(low, high, step, distribution.log, whole=True)
        if isinstance(distribution, FloatDistribution):
            spacing = distribution.step or 0.0
            return cls(distribution.low, distribution.high, spacing, distribution.log)
        raise TypeError(
            f"expected a categorical, int or float distribution, got {type(distribution).__name__}"
        )

    @cached_property
    def count(self) -> float:
        """Number of values."""
        if self.low == self.high:
            return 1
        return round((self.high - self.low) / self.step) + 1 if self.step else math.inf

    def decode(self, code: float) -> Any:
        """The value of a code."""
        if self.choices:
            return self.choices[round(code)]
        if self.count == 1:
            return int(self.low) if self.whole else self.low
        if self.whole:
            return int(self.low) + round(code) * int(self.step)
        if self.step:
            return min(self.low + round(code) * self.step, self.high)
        return min(max(float(code), self.low), self.high)

    def encode(self, value: Any) -> float | None:
        """The code of a value; None if the value is not in the distribution."""
        if self.choices:
            return self._index.get((type(value), value)) if value == value else self._nan
        if not isinstance(value, int | float) or not self.low <= value <= self.high:
            return None
        if self.count == 1:
            return 0.0 if self.step else self.low
        return float(round((value - self.low) / self.step)) if self.step else float(value)

    @cached_property
    def _index(self) -> Mapping[tuple[type, Any], float]:
        # NOTE: True == 1 as keys of a dict, but they are different choices in Optuna.
        return MappingProxyType({(type(c), c): float(i) for i, c in enumerate(self.choices)})

    @cached_property
    def _nan(self) -> float | None:
        return next((float(i) for i, c in enumerate(self.choices) if c != c), None)

    def sample(self, rng: np.random.Generator, size: int) -> Array:
        """Uniform samples of codes."""
        if self.count == 1:
            return np.full(size, 0.0 if self.step else self.low)
        if self.log or not self.step:
            return self._at(rng.random(size))
        return rng.integers(0, int(self.count), size).astype(np.float64)

    def change(self, codes: Array, rng: np.random.Generator) -> Array:
        """Mutate codes: half to a neighbouring value if values are ordered, half uniformly."""
        if self.count == 1:
            return codes
        far = self.sample(rng, len(codes))
        if self.count < math.inf:
            # A mutation must not return the same value.
            shift = rng.integers(1, max(int(self.count), 2), len(codes))
            far = np.where(far == codes, (codes + shift) % self.count, far)
        if not self.is_ordered:
            return far
        return np.asarray(np.where(rng.random(len(codes)) < 0.5, far, self._near(codes, rng)))

    def _near(self, codes: Array, rng: np.random.Generator) -> Array:
        if self.count > _TABLED:
            return self._at(np.clip(self.position(codes) + rng.normal(0, 0.1, len(codes)), 0, 1))
        rank = self._ranks[codes.astype(int)] + rng.choice([-1, 1], len(codes))
        rank = np.clip(rank, 0, len(self._ranks) - 1)
        return np.asarray(np.argsort(self._ranks)[rank], dtype=np.float64)

    @cached_property
    def is_ordered(self) -> bool:
        """Whether the values are numbers, and so have neighbours."""
        return all(isinstance(c, int | float) and type(c) is not bool for c in self.choices)

    @cached_property
    def _ranks(self) -> NDArray[np.int64]:
        if not self.choices:
            return np.arange(int(self.count))
        return np.argsort(np.argsort(np.array(self.choices, dtype=np.float64), kind="stable"))

    def position(self, codes: Array) -> Array:
        """Positions of codes along their range, from 0 to 1."""
        if self.count == 1:
            return np.zeros(len(codes))
        if self.choices:
            return np.asarray(self._ranks[codes.astype(int)] / (self.count - 1))
        values = self.low + codes * self.step if self.step else codes
        if self.log:
            return np.asarray(np.log(values / self.low) / math.log(self.high / self.low))
        return np.asarray((values - self.low) / (self.high - self.low))

    def _at(self, positions: Array) -> Array:
        """The codes at positions along the range."""
        if self.log:
            margin = 0.5 if self.step else 0.0  # gives the outermost integers their full share
            low, high = math.log(self.low - margin), math.log(self.high + margin)
            values = np.exp(low + positions * (high - low))
        else:
            values = self.low + positions * (self.high - self.low)
        values = np.clip(values, self.low, self.high)
        return np.asarray(np.round((values - self.low) / self.step) if self.step else values)

    def features(self, codes: Array) -> Array:
        """(codes, features); the inner product of two values is their similarity, at most 1."""
        if self.count == 1:
            return np.zeros((len(codes), 0))
        if self._table is not None:
            return np.asarray(self._table[codes.astype(int)])
        return np.asarray(_from_knots(self.position(codes)) - _KNOTS_MEAN)

    @cached_property
    def _table(self) -> Array | None:
        if not self.is_ordered:
            table: Array = np.eye(int(self.count))
        elif self.count <= _TABLED:
            positions = self.position(np.arange(self.count, dtype=np.float64))
            own = _OWN if self.choices else 0.01
            alike = (1 - own) * _alike(positions, positions) + own * np.eye(len(positions))
            table = np.asarray(np.linalg.cholesky(alike))
        else:
            return None
        return np.asarray(table - table.mean(axis=0))


def _alike(left: Array, right: Array) -> Array:
    distance = (left[:, None] - right[None, :]) / _REACH
    return np.asarray(np.exp(-0.5 * distance**2))


def _from_knots(positions: Array) -> Array:
    return np.asarray(_alike(positions, _KNOTS_AT) @ _KNOTS_INVERSE)


_KNOTS_AT = np.linspace(0, 1, _KNOTS)
_KNOTS_INVERSE = np.linalg.inv(
    np.linalg.cholesky(_alike(_KNOTS_AT, _KNOTS_AT) + 1e-6 * np.eye(_KNOTS))
).T
_KNOTS_MEAN = _from_knots(np.linspace(0, 1, 64)).mean(axis=0)
