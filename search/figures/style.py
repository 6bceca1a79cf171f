"""Common style of figures: colours, layout, axes and tooltips."""

import math
import re
import textwrap
from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go

from ...objectives.accuracy.budget import Budget
from ...objectives.cost.cost import Cost
from ...spaces.plan import Plan
from ..formatting import cost_in_words, points, short

INK = "#3b424c"
PAPER = "#fefefe"
"""Text and background colours, which a dark page replaces."""
QUIET = "#8a929d"
GRID = "rgba(128, 136, 148, 0.22)"
BASELINE_COLOUR = "#8a929d"
FAR = 4
"""Drops beyond this multiple of the largest budget are drawn at the edge."""

_BUDGET_COLOURS = ("#1f7a8c", "#7353ba", "#d1495b", "#c9822a", "#3f8f4f", "#4361a8")
_DROP_COLOURS = [
    [0.0, "#1b6f8a"],
    [0.25, "#3aa394"],
    [0.5, "#d9b44a"],
    [0.75, "#dd7a3c"],
    [1.0, "#b8324a"],
]
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_WORDS_PER_LINE = 46


def budget_colour(place: int) -> str:
    """The colour of a budget by its index, smallest budget first."""
    return _BUDGET_COLOURS[place % len(_BUDGET_COLOURS)]


def layered_line(place: int) -> dict[str, object]:
    """A step line in a budget's colour. Lines of larger budgets are wider and drawn first, so that
    lines at the same position are all visible.

    Args:
        place: index of the budget, smallest budget first.
    """
    return {"shape": "hv", "width": 1.5 + 1.4 * min(place, 4), "color": budget_colour(place)}


def styled(figure: go.Figure, height: int = 460) -> go.Figure:
    """Apply the common style: transparent background, light grid, legend above.

    Args:
        figure: changed in place.
        height: in pixels.
    """
    figure.update_layout(
        template="none",
        height=height,
        autosize=True,
        margin={"l": 64, "r": 16, "t": 48, "b": 56},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": _FONT, "size": 13, "color": INK},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "title": {"text": ""}},
        hoverlabel={
            "align": "left",
            "bgcolor": PAPER,
            "bordercolor": QUIET,
            "font": {"family": _FONT, "size": 12, "color": INK},
        },
        hovermode="closest",
    )
    axis = {
        "gridcolor": GRID,
        "zerolinecolor": GRID,
        "linecolor": GRID,
        "automargin": True,
        "title": {"standoff": 12},
        "ticks": "",
    }
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    return figure


def log_axis(title: str, values: Sequence[float]) -> dict[str, object]:
    """A logarithmic axis of counts, with ticks chosen by the span of the values.

    Args:
        title: title of the axis.
        values: all values on the axis, positive.
    """
    low, high = min(values, default=1.0), max(values, default=1.0)
    ticks = round_numbers(low / 3, high * 3, mantissas=(1, 2, 5) if high < 30 * low else (1,))
    return {
        "type": "log",
        "title": {"text": title},
        "tickvals": ticks,
        "ticktext": [re.sub(r"\.0+(?= |$)", "", short(tick)) for tick in ticks],
        "minor": {"dtick": "D1", "gridcolor": "rgba(128, 136, 148, 0.10)", "showgrid": True},
    }


def round_numbers(low: float, high: float, mantissas: Sequence[int] = (1, 2, 5)) -> list[float]:
    """The numbers 1, 2, 5, 10, 20... between two positive numbers, for logarithmic ticks."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = (first * 10.0**power for power in powers for first in mantissas)
    return [tick for tick in ticks if low <= tick <= high]


def drop_colours(budgets: Sequence[Budget]) -> dict[str, object]:
    """The colour axis of drops, saturated far beyond the largest budget."""
    largest = max((budget.max_drop for budget in budgets), default=1.0)
    return {
        "colorscale": _DROP_COLOURS,
        "cmin": 0.0,
        "cmax": max(2 * largest, 1.0),
        "colorbar": {
            "title": {"text": "drop, pp", "side": "right"},
            "thickness": 10,
            "outlinewidth": 0,
            "len": 0.9,
            "tickformat": "+~g",
        },
    }


def in_words(plan: Plan) -> str:
    """A plan in words, wrapped for a tooltip."""
    return "<br>".join(textwrap.wrap(escape(plan.describe()), _WORDS_PER_LINE))


def tooltip(number: int, plan: Plan, cost: Cost, baseline: Cost, drop: float) -> str:
    """The tooltip of a plan."""
    params = f"{baseline.params_effective / cost.params_effective:.1f}x less"
    flops = f"{baseline.flops_effective / cost.flops_effective:.1f}x less"
    return (
        f"<b>trial {number}</b>, drop {points(drop)} pp<br>"
        f"{cost_in_words(cost)}<br>"
        f"effective params {short(cost.params_effective)}, {params}<br>"
        f"effective FLOPs {short(cost.flops_effective)}, {flops}<br>{in_words(plan)}"
    )
