"""Budgets: how many percentage points of accuracy may be given up."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ...errors import InputError


def drop_between(baseline_accuracy: float, accuracy: float) -> float:
    """Points of accuracy lost, both in percent on the same images; negative when gained."""
    return baseline_accuracy - accuracy


@dataclass(frozen=True, order=True)
class Budget:
    """The largest drop allowed, in percentage points."""

    max_drop: float

    def allows(self, drop: float) -> bool:
        """Whether a drop keeps within the budget; a rounding error does not break it."""
        return drop <= self.max_drop + 1e-9

    @property
    def text(self) -> str:
        return f"{self.max_drop:g} pp"


def parse_budgets(values: Iterable[object]) -> tuple[Budget, ...]:
    """Budgets from numbers, the smallest first, each once.

    Raises:
        InputError: there is none, or one is no number from 0 to 100.
    """
    budgets, faults = set[Budget](), list[str]()
    for value in values:
        try:
            budgets.add(_parse(value))
        except InputError as error:
            faults.append(str(error))
    if faults:
        raise InputError("; ".join(faults))
    if not budgets:
        raise InputError("at least one budget is needed, in percentage points: max_drop = [1]")
    return tuple(sorted(budgets))


def _parse(value: object) -> Budget:
    try:
        number = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not 0 <= number <= 100:
        raise InputError(f"a budget is a number of percentage points from 0 to 100, got {value!r}")
    return Budget(number)
