"""Budgets: what they accept, what they allow, and which way a drop points."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paredown.errors import InputError
from paredown.objectives.accuracy.budget import Budget, drop_between, parse_budgets

PERCENT = st.floats(0, 100, allow_nan=False)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1], [1.0]),
        ([0], [0.0]),
        ([100], [100.0]),
        (["0.5"], [0.5]),
        ([" 2 "], [2.0]),
        (["1e-1"], [0.1]),
        ([2, 0.5, "1"], [0.5, 1.0, 2.0]),
        ([1, 1.0, "1", "1.00"], [1.0]),
    ],
)
def test_budgets_are_read_in_order_and_once(values: list[object], expected: list[float]) -> None:
    assert [budget.max_drop for budget in parse_budgets(values)] == expected


@pytest.mark.parametrize(
    "value",
    [
        -0.1,
        -1,
        100.001,
        101,
        math.nan,
        math.inf,
        -math.inf,
        "nan",
        "inf",
        "1e999",
        "",
        "one",
        "1 pp",
        "1%",
        "1,5",
        True,
        False,
        None,
        [1],
        {"max_drop": 1},
        b"1",
        1j,
        10**400,
    ],
)
def test_what_is_no_budget_is_refused_by_name(value: object) -> None:
    with pytest.raises(InputError, match="from 0 to 100") as caught:
        parse_budgets([1, value])
    assert repr(value) in str(caught.value)


def test_no_budget_at_all_is_refused() -> None:
    with pytest.raises(InputError, match="at least one budget"):
        parse_budgets([])


@given(st.lists(PERCENT, min_size=1))
def test_any_percentages_are_budgets(values: list[float]) -> None:
    drops = [budget.max_drop for budget in parse_budgets(values)]
    assert drops == sorted(set(values))


def test_the_boundary_is_allowed() -> None:
    assert Budget(1.0).allows(1.0)
    assert Budget(0.0).allows(0.0)
    assert Budget(0.0).allows(-5.0)
    # 0.1 + 0.2 is 0.30000000000000004, and the second is 1.0000000000000142.
    assert Budget(0.3).allows(0.1 + 0.2)
    assert Budget(1.0).allows(drop_between(97.1, 96.1))


def test_one_image_too_many_is_not_allowed() -> None:
    # The smallest drop that a million images can show.
    assert not Budget(1.0).allows(1.0 + 100 / 1_000_000)
    assert not Budget(0.0).allows(100 / 1_000_000)
    assert not Budget(100.0).allows(math.inf)
    assert not Budget(1.0).allows(math.nan)


@given(st.integers(1, 5000), st.data())
def test_counted_images_decide_exactly(total: int, data: st.DataObject) -> None:
    """Accuracies are shares of images; rounding must never decide against the count."""
    before = data.draw(st.integers(0, total))
    after = data.draw(st.integers(0, total))
    lost = data.draw(st.integers(0, total))  # the budget, as a number of images
    drop = drop_between(100 * (before / total), 100 * (after / total))
    assert Budget(100 * (lost / total)).allows(drop) == (before - after <= lost)


def test_a_drop_is_what_was_lost() -> None:
    assert drop_between(90.0, 88.0) == 2.0
    assert drop_between(88.0, 90.0) == -2.0


@given(PERCENT, PERCENT)
def test_drops_turn_round_with_their_ends(one: float, other: float) -> None:
    assert drop_between(one, other) == -drop_between(other, one)
    assert drop_between(one, one) == 0


@pytest.mark.parametrize(
    ("max_drop", "text"), [(1.0, "1 pp"), (0.5, "0.5 pp"), (0.0, "0 pp"), (12.25, "12.25 pp")]
)
def test_budgets_have_a_short_text(max_drop: float, text: str) -> None:
    assert Budget(max_drop).text == text
