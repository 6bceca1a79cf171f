"""Counts and drops as text, for tables, pages, notes and messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..objectives.cost.cost import Cost

_UNITS = ("", "k", "M", "G", "T")


def short(value: float) -> str:
    """A count in three significant digits: 269434 -> 269 k."""
    unit = 0
    while abs(value) >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    digits = 0 if unit == 0 or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f}{' ' + _UNITS[unit] if unit else ''}"


def points(drop: float | None) -> str:
    """A signed drop in percentage points; negative drops are gains in accuracy."""
    return "-" if drop is None else f"{round(drop, 2) + 0.0:+.2f}"  # -0.0 + 0.0 is 0.0


def cost_in_words(cost: Cost) -> str:
    """Params, MACs and bytes of a cost: "269 k params, 2.52 M MACs, 1.08 MB"."""
    return f"{short(cost.params)} params, {short(cost.macs)} MACs, {short(cost.bytes)}B"
