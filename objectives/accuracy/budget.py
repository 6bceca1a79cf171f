"""Budgets: the largest allowed accuracy drop, in percentage points."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ...errors import InputError


def drop_between(baseline_accuracy: float, accuracy: float) -> float:
    """Compute the drop in percentage points, from percentages; negative if accuracy increases."""
    return baseline_accuracy - accuracy


@dataclass(frozen=True, order=True)
class Budget:
    """The largest drop allowed, in percentage points."""

    max_drop: float

    def allows(self, drop: float) -> bool:
        """Return whether a drop is within the budget, with a tolerance for rounding errors."""
        return drop <= self.max_drop + 1e-9

    @property
    def text(self) -> str:
        return f"{self.max_drop:g} pp"


def parse_budgets(values: Iterable[object]) -> tuple[Budget, ...]:
    """Parse budgets; sorted and without duplicates.

    Raises:
        InputError: no budget, or one that is not a number from 0 to 100.
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
        raise InputError("expected at least one budget in percentage points: max_drop = [1]")
    return tuple(sorted(budgets))


def _parse(value: object) -> Budget:
    try:
        number = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not 0 <= number <= 100:
        raise InputError(f"expected a budget from 0 to 100 percentage points, got {value!r}")
    return Budget(number)
