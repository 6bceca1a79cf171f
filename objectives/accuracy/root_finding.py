"""Brent's method for roots of a function, equal to scipy's.

It avoids the import of scipy.optimize, half a CPU second, for a few roots per study.
"""

import math
from collections.abc import Callable

_ABSOLUTE = 2e-12
_RELATIVE = 4 * 2.0**-52
_MOST_STEPS = 100


def brentq(function: Callable[[float], float], low: float, high: float) -> float:
    """Find a root of a continuous function between two points where its signs differ.

    Brent, "Algorithms for Minimization without Derivatives" (1973), chapters 3 and 4: inverse
    quadratic interpolation as long as it converges, else bisection. The arithmetic is that of
    `scipy.optimize.brentq` with its default tolerances, so that results are equal to the last bit
    (https://github.com/scipy/scipy/blob/main/scipy/optimize/Zeros/brentq.c).

    Args:
        function: the function; may return infinite values.
        low, high: the two points, in any order.

    Raises:
        ValueError: the signs are equal.
    """
    previous, current = low, high
    f_previous, f_current = function(previous), function(current)
    if f_previous == 0:
        return previous
    if f_current == 0:
        return current
    if (f_previous > 0) == (f_current > 0):
        raise ValueError(f"expected different signs at {low} and {high}")
    other, f_other = previous, f_previous  # the root is between `current` and `other`
    step = step_before = current - previous
    for _ in range(_MOST_STEPS):
        if f_previous != 0 and f_current != 0 and (f_previous > 0) != (f_current > 0):
            other, f_other = previous, f_previous
            step = step_before = current - previous
        if abs(f_other) < abs(f_current):
            previous, current, other = current, other, current
            f_previous, f_current, f_other = f_current, f_other, f_current
        delta = (_ABSOLUTE + _RELATIVE * abs(current)) / 2
        half = (other - current) / 2
        if f_current == 0 or abs(half) < delta:
            return current
        tried = math.nan
        if abs(step_before) > delta and abs(f_current) < abs(f_previous):
            tried = _interpolated((previous, f_previous), (current, f_current), (other, f_other))
        # For infinite values, `tried` is NaN, and the comparison is false.
        if 2 * abs(tried) < min(abs(step_before), 3 * abs(half) - delta):
            step_before, step = step, tried
        else:
            step_before = step = half
        previous, f_previous = current, f_current
        current += step if abs(step) > delta else math.copysign(delta, half)
        f_current = function(current)
    raise RuntimeError(f"no root found between {low} and {high} in {_MOST_STEPS} steps")


_Point = tuple[float, float]


def _interpolated(previous: _Point, current: _Point, other: _Point) -> float:
    """Compute the step from the current point to the root of a curve through three points.

    The curve is a line if two of the points are equal. NaN in place of a division by zero.
    """
    (x_previous, f_previous), (x, f), (x_other, f_other) = previous, current, other
    try:
        if x_previous == x_other:
            return -f * (x - x_previous) / (f - f_previous)
        slope_previous = (f_previous - f) / (x_previous - x)
        slope_other = (f_other - f) / (x_other - x)
        return (
            -f
            * (f_other * slope_other - f_previous * slope_previous)
            / (slope_other * slope_previous * (f_other - f_previous))
        )
    except ZeroDivisionError:
        return math.nan
