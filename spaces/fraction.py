"""Shares between 0 and 1, as users write them."""

from ..errors import PlanError


def parse_fraction(value: object, what: str, *, low_open: bool, high_open: bool) -> float:
    """A number between 0 and 1.

    Args:
        value: what the user wrote.
        what: what it is, for the error: "a width".
        low_open, high_open: whether 0 and 1 themselves are excluded.

    Raises:
        PlanError: it is no such number.
    """
    bounds = f"{'above 0' if low_open else 'from 0'} {'to below 1' if high_open else 'to 1'}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PlanError(f"{what} is a number {bounds}, got {value!r}")
    low = value > 0 if low_open else value >= 0
    high = value < 1 if high_open else value <= 1
    if not (low and high):
        raise PlanError(f"{what} is a number {bounds}, got {value!r}")
    return float(value)
