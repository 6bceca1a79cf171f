"""The marker `matrix`: combinations that stand for no kind of their own, and run on request.

README's test line runs one representative of each kind; `pytest -m ""` runs everything.
"""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from _pytest.mark import ParameterSet

MATRIX = pytest.mark.matrix


def represented(
    cases: Iterable[Any], is_representative: Callable[[Any], bool]
) -> list[ParameterSet]:
    """Parameters for `pytest.mark.parametrize`: all, of which the others run on request.

    Args:
        cases: a value, or a tuple of values, per case.
        is_representative: whether a case always runs.
    """
    parameters = list[ParameterSet]()
    for case in cases:
        values = case if isinstance(case, tuple) else (case,)
        # `cut_short.__eq__` answers NotImplemented about what is of another sort.
        answer = is_representative(case)
        marks = () if answer is not NotImplemented and answer else (MATRIX,)
        parameters.append(pytest.param(*values, marks=marks))
    return parameters
