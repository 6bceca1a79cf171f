"""Paredown: pare a CNN down to what your accuracy budget allows."""

from typing import TYPE_CHECKING, Any

from .errors import ParedownError
from .version import __version__

if TYPE_CHECKING:
    from .objectives.accuracy.budget import Budget
    from .objectives.cost.cost import Cost
    from .objectives.evaluation.outcome import Outcome
    from .search.api.pare import pare
    from .search.api.result import Result, Winner
    from .search.export.rebuilding import load
    from .search.runner.callbacks import Callback
    from .spaces.plan import Plan
    from .spaces.space import Space

__all__ = [
    "Budget",
    "Callback",
    "Cost",
    "Outcome",
    "ParedownError",
    "Plan",
    "Result",
    "Space",
    "Winner",
    "__version__",
    "load",
    "pare",
]

_HOMES = {
    "Budget": "objectives.accuracy.budget",
    "Cost": "objectives.cost.cost",
    "Outcome": "objectives.evaluation.outcome",
    "Plan": "spaces.plan",
    "Result": "search.api.result",
    "Space": "spaces.space",
    "Callback": "search.runner.callbacks",
    "Winner": "search.api.result",
    "load": "search.export.rebuilding",
    "pare": "search.api.pare",
}


def __getattr__(name: str) -> Any:
    """Import public names on first use: torch takes seconds, and `paredown --help` needs none."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
