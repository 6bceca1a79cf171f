"""Roots are scipy's, to the last bit."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paredown.objectives.accuracy.confidence import ONE_SIDED, TWO_SIDED, PairedDrop
from paredown.objectives.accuracy.root_finding import brentq
from scipy import optimize, stats


@given(st.floats(-5, 5), st.floats(0.1, 3), st.floats(0, 10), st.floats(0.01, 10))
def test_roots_of_cubics_are_scipys(root: float, left: float, bend: float, right: float) -> None:
    def function(x: float) -> float:
        return 0.2 * (x - root) + bend * (x - root) ** 3

    low, high = root - left, root + right
    assert brentq(function, low, high) == optimize.brentq(function, low, high)
    assert brentq(function, high, low) == optimize.brentq(function, high, low)


def test_a_root_at_an_end_is_found() -> None:
    assert brentq(lambda x: x, 0.0, 1.0) == 0 == brentq(lambda x: x, -1.0, 0.0)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.0, 0.8), (-1e6, 1e6)])
def test_roots_of_a_curve_are_scipys(low: float, high: float) -> None:
    def function(x: float) -> float:
        return math.cos(x) - x

    assert brentq(function, low, high) == optimize.brentq(function, low, high)


def test_infinite_values_are_fine() -> None:
    def function(x: float) -> float:
        return math.log(x) if x > 0 else -math.inf

    assert brentq(function, 0.0, 4.0) == optimize.brentq(function, 0.0, 4.0) == pytest.approx(1)


def test_a_function_of_one_sign_is_refused() -> None:
    with pytest.raises(ValueError, match=r"different signs at 0\.0 and 1\.0"):
        brentq(lambda x: x + 1, 0.0, 1.0)


def test_quantiles_are_scipys() -> None:
    assert stats.norm.ppf(0.95) == ONE_SIDED
    assert stats.norm.ppf(0.975) == TWO_SIDED


@given(st.integers(1, 5000), st.data())
def test_limits_of_drops_are_those_that_scipys_root_gives(images: int, data: st.DataObject) -> None:
    lost = data.draw(st.integers(0, images))
    gained = data.draw(st.integers(0, images - lost))
    paired = PairedDrop(images, lost, gained)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("paredown.objectives.accuracy.confidence.brentq", optimize.brentq)
        again = PairedDrop(images, lost, gained)
        expected = again.interval, again.upper_bound
    assert (paired.interval, paired.upper_bound) == expected
