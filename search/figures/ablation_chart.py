"""Bar chart of an ablation: savings and costs of each technique."""

from html import escape

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ..ablation.saved_ablation import Ablation
from .style import BASELINE_COLOUR, budget_colour, styled


def attribution_figure(ablation: Ablation) -> go.Figure:
    """Bars per technique: how much smaller it makes the winner, and its cost in accuracy."""
    names = [escape(row.technique) for row in ablation.rows]
    figure = make_subplots(
        rows=1,
        cols=2,
        shared_yaxes=True,
        horizontal_spacing=0.06,
        column_widths=[0.6, 0.4],
    )
    for label, ratios, colour in (
        (
            "effective params",
            [row.params_effective_ratio for row in ablation.rows],
            budget_colour(0),
        ),
        ("effective FLOPs", [row.flops_effective_ratio for row in ablation.rows], budget_colour(3)),
    ):
        figure.add_trace(
            go.Bar(
                name=label,
                orientation="h",
                y=names,
                base=[1.0] * len(names),
                x=[ratio - 1 for ratio in ratios],
                text=[f"{ratio:.2f}x" for ratio in ratios],
                textposition="outside",
                cliponaxis=False,
                marker={"color": colour},
                hovertemplate=f"%{{y}}: %{{text}} fewer {label}<extra></extra>",
            ),
            row=1,
            col=1,
        )
    costs = [row.costs_pp for row in ablation.rows]
    figure.add_trace(
        go.Bar(
            name="cost in accuracy",
            orientation="h",
            y=names,
            x=costs,
            text=[f"{cost:+.2f}" for cost in costs],
            textposition="outside",
            cliponaxis=False,
            width=0.4,
            marker={
                "color": [budget_colour(2) if value > 0 else BASELINE_COLOUR for value in costs]
            },
            showlegend=False,
            hovertemplate="%{y}: %{text} pp<extra></extra>",
        ),
        row=1,
        col=2,
    )
    largest = max(
        (max(s.params_effective_ratio, s.flops_effective_ratio) for s in ablation.rows), default=2.0
    )
    low, high = min([0.0, *costs]), max([0.0, *costs])
    room = 0.3 * max(high - low, 0.1)
    figure.update_layout(
        barmode="group",
        bargap=0.3,
        xaxis={"title": {"text": "times fewer"}, "range": [1, 1 + 1.25 * (largest - 1)]},
        xaxis2={
            "title": {"text": "cost in accuracy, pp"},
            "range": [low - room, high + room],
            "zeroline": True,
        },
        yaxis={"autorange": "reversed", "showgrid": False},
        yaxis2={"showgrid": False},
    )
    return styled(figure, height=130 + 52 * max(len(names), 1))
