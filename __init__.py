"""Paredown: pare a CNN down to what your accuracy budget allows."""

from typing import TYPE_CHECKING, Any

from .errors import ParedownError

if TYPE_CHECKING:
    from .objectives.budget import Budget
    from .objectives.cost import Cost
    from .objectives.outcome import Outcome
    from .search.export.rebuilding import load
    from .search.paring.pare import pare
    from .search.paring.result import Result, Winner
    from .search.watcher import Watcher
    from .spaces.plan import Plan
    from .spaces.space import Space

__version__ = "0.5.0.dev0"

__all__ = [
    "Budget",
    "Cost",
    "Outcome",
    "ParedownError",
    "Plan",
    "Result",
    "Space",
    "Watcher",
    "Winner",
    "__version__",
    "load",
    "pare",
]

_HOMES = {
    "Budget": "objectives.budget",
    "Cost": "objectives.cost",
    "Outcome": "objectives.outcome",
    "Plan": "spaces.plan",
    "Result": "search.paring.result",
    "Space": "spaces.space",
    "Watcher": "search.watcher",
    "Winner": "search.paring.result",
    "load": "search.export.rebuilding",
    "pare": "search.paring.pare",
}


def __getattr__(name: str) -> Any:
    """Public names load on first use: torch takes seconds, and `paredown --help` needs none."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
