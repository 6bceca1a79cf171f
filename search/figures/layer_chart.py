"""Dot plot of params and MACs layer by layer, winners and baseline."""

from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ..formatting import short
from .layer_costs import Row
from .style import BASELINE_COLOUR, GRID, PAPER, log_axis, styled

_PIXELS = 23
"""Height of a row, in pixels."""


def layers_figure(rows: Sequence[Row], names: Sequence[str], colours: Sequence[str]) -> go.Figure:
    """A dot per network in each module's row, params on the left and MACs on the right.

    Args:
        rows: the modules, in execution order.
        names: names of the networks, the baseline first.
        colours: colours of the networks without the baseline.
    """
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.04)
    modules = [escape(row.name) for row in rows]
    for column, (quantity, counts) in enumerate(
        (("params", [row.params for row in rows]), ("MACs", [row.macs for row in rows])), start=1
    ):
        figure.add_trace(_spans(modules, counts), row=1, col=column)
        for place, name in enumerate(names):
            dots = [(module, all_of[place]) for module, all_of in zip(modules, counts, strict=True)]
            colour = colours[place - 1] if place else BASELINE_COLOUR
            figure.add_trace(
                _dots(
                    name, quantity, dots, colour, is_first=column == 1, size=13 if not place else 9
                ),
                row=1,
                col=column,
            )
        every = [count for all_of in counts for count in all_of if count]
        figure.update_xaxes(log_axis(quantity, every), row=1, col=column)
    figure.update_layout(
        yaxis={"autorange": "reversed", "type": "category"},
        yaxis2={"autorange": "reversed", "type": "category"},
    )
    return styled(figure, height=130 + _PIXELS * len(rows))


def _spans(modules: Sequence[str], counts: Sequence[Sequence[int]]) -> go.Scatter:
    """A line per module from its smallest to its largest count."""
    ends: list[tuple[str | None, int | None]] = []
    for module, all_of in zip(modules, counts, strict=True):
        some = [count for count in all_of if count]
        if some:
            ends += [(module, max(some)), (module, min(some)), (None, None)]
    return go.Scatter(
        mode="lines",
        y=[module for module, _ in ends],
        x=[count for _, count in ends],
        line={"color": GRID, "width": 3},
        hoverinfo="skip",
        showlegend=False,
    )


def _dots(
    name: str,
    quantity: str,
    dots: Sequence[tuple[str, int]],
    colour: str,
    *,
    is_first: bool,
    size: int,
) -> go.Scatter:
    """A network's counts; zero counts have no dot."""
    some = [(module, count) for module, count in dots if count]
    return go.Scatter(
        name=name,
        legendgroup=name,
        showlegend=is_first,
        mode="markers",
        y=[module for module, _ in some],
        x=[count for _, count in some],
        marker={"size": size, "color": colour, "line": {"width": 1, "color": PAPER}},
        text=[f"<b>{module}</b>, {name}: {short(count)} {quantity}" for module, count in some],
        hovertemplate="%{text}<extra></extra>",
    )
