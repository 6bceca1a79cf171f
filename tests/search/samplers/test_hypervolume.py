"""Gains in hypervolume, against counting cells of a grid."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paredown.search.samplers.hypervolume import hypervolume, hypervolume_improvement, nondominated


def covered(points: list[tuple[int, ...]], dimensions: int) -> int:
    """Unit cells below 0 that some point is below of."""
    cells = itertools.product(range(-4, 0), repeat=dimensions)
    return sum(
        any(all(p <= c for p, c in zip(q, cell, strict=True)) for q in points) for cell in cells
    )


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@given(data=st.data())
def test_gains_are_exact(dimensions: int, data: st.DataObject) -> None:
    point = st.tuples(*[st.integers(-4, 1)] * dimensions)
    front = data.draw(st.lists(point, max_size=5))
    points = data.draw(st.lists(point, min_size=1, max_size=4))
    shaped = np.array(front, dtype=float).reshape(-1, dimensions)
    before = covered(front, dimensions)
    expected = [covered([*front, point], dimensions) - before for point in points]
    np.testing.assert_allclose(
        hypervolume_improvement(np.array(points, dtype=float), shaped), expected
    )
    assert hypervolume(shaped) == pytest.approx(before)


def test_a_front_has_each_member_once() -> None:
    points = np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    np.testing.assert_array_equal(nondominated(points), [[0.0, 1.0], [1.0, 0.0]])
