"""Parallel coordinates plot of plans' decisions, size and drop."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy
import plotly.graph_objects as go
from numpy.typing import NDArray

from ...spaces.technique import Value
from ...spaces.techniques import TECHNIQUES
from ..results.pareto import relative_cost
from ..results.summary import StudySummary
from .points import Point, points_of
from .style import FAR, drop_colours, round_numbers, styled

Array = NDArray[numpy.float64]

MOST = 7
"""Largest number of decisions in the plot."""

_SPREAD = 0.34
"""Spread of the lines of one option, in distances between options."""


@dataclass(frozen=True)
class Decision:
    """The choices of one technique at one place.

    Attributes:
        name: as in "block stage1".
        options: the options that plans have chosen, the neutral one first.
        chosen: [plans], index of each plan's option.
    """

    name: str
    options: tuple[Value, ...]
    chosen: NDArray[numpy.int64]


def parallel_figure(summary: StudySummary, most: int = MOST) -> go.Figure:
    """Every scored plan as a line through its decisions to its size and drop.

    Args:
        summary: summary of the study.
        most: number of decisions, those that explain most of the variance of drop and size.
    """
    points = points_of(summary)
    drops = numpy.array([point.drop for point in points])
    cheaper = numpy.array(
        [1 / relative_cost(summary.baseline.cost, point.cost) for point in points]
    )
    figure = go.Figure()
    shown = telling(decisions(points), [drops, numpy.log(cheaper)], most) if len(points) > 1 else []
    top = FAR * max((result.budget.max_drop for result in summary.results), default=1.0) or 1.0
    colours = drop_colours([result.budget for result in summary.results]) | {"showscale": False}
    figure.add_trace(
        go.Parcoords(
            line={"color": drops, **colours},
            dimensions=[
                *(_axis(decision, drops) for decision in shown),
                _log_axis("times cheaper", cheaper),
                _drop_axis(drops, top),
            ],
            labelfont={"size": 12},
            tickfont={"size": 11},
            rangefont={"size": 10, "color": "rgba(0,0,0,0)"},
            unselected={"line": {"opacity": 0.08}},
        )
    )
    styled(figure, height=440)
    figure.update_layout(margin={"l": 76, "r": 40, "t": 56, "b": 24})
    return figure


def decisions(points: Sequence[Point]) -> list[Decision]:
    """The decisions in which plans differ, in the order of their techniques."""
    chosen = [{(c.technique, c.place): c.value for c in point.plan.choices} for point in points]
    names = sorted({name for item in chosen for name in item})
    order = [technique.name for technique in TECHNIQUES]
    names.sort(key=lambda name: order.index(name[0]))
    decisions = (_decision(technique, place, chosen) for technique, place in names)
    return [decision for decision in decisions if len(decision.options) > 1]


def _decision(
    technique: str, place: str, chosen: Sequence[Mapping[tuple[str, str], Value]]
) -> Decision:
    neutral = TECHNIQUES.get(technique).neutral
    values = [item.get((technique, place), neutral) for item in chosen]
    options = tuple(sorted(set(values), key=lambda value: (value != neutral, str(value))))
    numbers = numpy.array([options.index(value) for value in values])
    return Decision(f"{technique} {place}", options, numbers)


def telling(decisions: Sequence[Decision], about: Sequence[Array], most: int) -> list[Decision]:
    """The decisions that explain most of the variance of some quantities, in order.

    Args:
        decisions: the candidates.
        about: quantities of the plans, [plans] each.
        most: number of decisions to select.
    """
    ranks = [numpy.argsort(numpy.argsort(figures)).astype(float) for figures in about]
    scores = [max(_explained(item, figures) for figures in ranks) for item in decisions]
    best = sorted(range(len(decisions)), key=lambda place: -scores[place])[:most]
    return [decisions[place] for place in sorted(best)]


def _explained(decision: Decision, figures: Array) -> float:
    """The share of a quantity's variance that lies between options, unbiased (epsilon^2)."""
    count, options = len(figures), len(decision.options)
    within = sum(
        ((part - part.mean()) ** 2).sum()
        for option in range(options)
        if len(part := figures[decision.chosen == option])
    )
    whole = ((figures - figures.mean()) ** 2).sum()
    if count <= options or not whole:
        return 0.0
    return float(1 - within / (count - options) / (whole / (count - 1)))


def _axis(decision: Decision, drops: Array) -> dict[str, object]:
    """The axis of a decision. Lines of one option are spread by drop to keep them visible."""
    at = decision.chosen.astype(float)
    for option in range(len(decision.options)):
        here = numpy.flatnonzero(decision.chosen == option)
        order = here[numpy.argsort(drops[here], kind="stable")]
        if len(order) > 1:
            at[order] += _SPREAD * (numpy.arange(len(order)) / (len(order) - 1) - 0.5)
    parts = (f"{item:g}" if isinstance(item, float) else escape(item) for item in decision.options)
    return {
        "label": escape(decision.name),
        "values": at,
        "tickvals": list(range(len(decision.options))),
        "ticktext": list(parts),
        "range": [-0.5, len(decision.options) - 0.5],
    }


def _log_axis(label: str, values: Array) -> dict[str, object]:
    """A logarithmic axis of ratios, with explicit ticks as parcoords has no logarithmic axes."""
    ticks = round_numbers(values.min(), values.max()) if len(values) else []
    return {
        "label": label,
        "values": numpy.log10(values),
        "tickvals": [math.log10(tick) for tick in ticks],
        "ticktext": [f"{tick:g}x" for tick in ticks],
    }


def _drop_axis(drops: Array, top: float) -> dict[str, object]:
    """The axis of drops, clipped at `top` to leave room for small drops."""
    highest = min(float(drops.max()), top) if len(drops) else top
    lowest = min(float(drops.min()), 0.0) if len(drops) else 0.0
    ticks = [tick for tick in numpy.linspace(0, top, 9) if tick <= highest]
    parts = [f"{tick:+g}" if tick else "0" for tick in ticks]
    if highest == top:
        parts[-1] += " or more"
    return {
        "label": "drop, pp",
        "values": numpy.minimum(drops, top),
        "range": [lowest, highest],
        "tickvals": ticks,
        "ticktext": parts,
    }
