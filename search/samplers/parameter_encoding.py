"""One parameter as numbers: how it is drawn, changed, and shown to a model."""

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
"""How far along its range a number tells of its neighbours."""
_OWN = 0.2
"""How much of a listed number's effect its neighbours do not share: its order may mean nothing."""
_KNOTS = 6
_TABLED = 32
"""Numbers with no more values than these are looked up; others are seen from a few knots."""


@dataclass(frozen=True)
class ParameterEncoder:
    """One parameter, its values written as codes.

    The code of a value with a step is its index, that of a value on a continuum itself.

    Attributes:
        low: the value at code 0, for numbers.
        step: from one value to the next; 0 on a continuum.
        high: the last value.
        log: whether ratios count instead of differences.
        choices: what can be chosen, for what is no number to Optuna.
    """

    low: float
    high: float
    step: float
    log: bool = False
    whole: bool = False
    choices: tuple[Any, ...] = ()

    @classmethod
    def of(cls, distribution: BaseDistribution) -> "ParameterEncoder":
        """The axis of a distribution."""
        if isinstance(distribution, CategoricalDistribution):
            choices = distribution.choices
            return cls(0, len(choices) - 1, 1, choices=tuple(choices))
        if isinstance(distribution, IntDistribution):
            low, high, step = distribution.low, distribution.high, distribution.step
            return cls(low, high, step, distribution.log, whole=True)
        if isinstance(distribution, FloatDistribution):
            spacing = distribution.step or 0.0
            return cls(distribution.low, distribution.high, spacing, distribution.log)
        raise TypeError(f"{type(distribution).__name__} is no distribution known here")

    @cached_property
    def count(self) -> float:
        """How many values there are."""
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
        """The code of a value; None if it cannot be one."""
        if self.choices:
            return self._index.get((type(value), value)) if value == value else self._nan
        if not isinstance(value, int | float) or not self.low <= value <= self.high:
            return None
        if self.count == 1:
            return 0.0 if self.step else self.low
        return float(round((value - self.low) / self.step)) if self.step else float(value)

    @cached_property
    def _index(self) -> Mapping[tuple[type, Any], float]:
        # True and 1 are the same to a dictionary, and not to a study.
        return MappingProxyType({(type(c), c): float(i) for i, c in enumerate(self.choices)})

    @cached_property
    def _nan(self) -> float | None:
        return next((float(i) for i, c in enumerate(self.choices) if c != c), None)

    def sample(self, rng: np.random.Generator, size: int) -> Array:
        """Codes drawn evenly."""
        if self.count == 1:
            return np.full(size, 0.0 if self.step else self.low)
        if self.log or not self.step:
            return self._at(rng.random(size))
        return rng.integers(0, int(self.count), size).astype(np.float64)

    def change(self, codes: Array, rng: np.random.Generator) -> Array:
        """Other codes: half of them near, if there is a near, and half anywhere."""
        if self.count == 1:
            return codes
        far = self.sample(rng, len(codes))
        if self.count < math.inf:
            # The value itself again would be no change.
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
        """Whether the values are numbers, so that some are nearer than others."""
        return all(isinstance(c, int | float) and type(c) is not bool for c in self.choices)

    @cached_property
    def _ranks(self) -> NDArray[np.int64]:
        if not self.choices:
            return np.arange(int(self.count))
        return np.argsort(np.argsort(np.array(self.choices, dtype=np.float64), kind="stable"))

    def position(self, codes: Array) -> Array:
        """Where along their range codes lie, from 0 to 1."""
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
            margin = 0.5 if self.step else 0.0  # so that the outer whole numbers get their share
            low, high = math.log(self.low - margin), math.log(self.high + margin)
            values = np.exp(low + positions * (high - low))
        else:
            values = self.low + positions * (self.high - self.low)
        values = np.clip(values, self.low, self.high)
        return np.asarray(np.round((values - self.low) / self.step) if self.step else values)

    def features(self, codes: Array) -> Array:
        """What a model sees: inner products say how much two values have in common, 1 at most."""
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
