"""Bar chart of a study's time breakdown."""

from collections.abc import Mapping

import plotly.graph_objects as go

from .style import budget_colour, styled

_WORTH_A_BAR = 0.002
"""Smallest share of the total that is shown."""


def times_figure(seconds: Mapping[str, float]) -> go.Figure:
    """Seconds by part, longest on top; negligible parts are left out.

    Args:
        seconds: part -> seconds.
    """
    whole = sum(seconds.values()) or 1.0
    parts = sorted(seconds.items(), key=lambda pair: -pair[1])
    parts = [(part, took) for part, took in parts if took / whole >= _WORTH_A_BAR]
    figure = go.Figure(
        go.Bar(
            orientation="h",
            y=[f"{part}, {took / whole:.0%}" for part, took in parts],
            x=[took for _, took in parts],
            text=[in_time(took) for _, took in parts],
            textposition="outside",
            cliponaxis=False,
            marker={"color": budget_colour(0)},
            hovertemplate="%{y}: %{text}<extra></extra>",
        )
    )
    longest = max((took for _, took in parts), default=1.0)
    figure.update_layout(
        xaxis={"title": {"text": "seconds"}, "range": [0, 1.45 * longest]},
        yaxis={"autorange": "reversed", "showgrid": False},
        bargap=0.35,
    )
    styled(figure, height=110 + 32 * max(len(parts), 2))
    figure.update_layout(margin={"t": 12})
    return figure


def in_time(seconds: float) -> str:
    """A duration in words: "4 min 34 s"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
