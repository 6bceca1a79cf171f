"""Bar chart of the winners relative to the baseline."""

from collections.abc import Sequence

import plotly.graph_objects as go

from ...objectives.cost.cost import Cost
from ..formatting import short
from ..results.summary import StudySummary
from .points import marked
from .style import BASELINE_COLOUR, budget_colour, styled

_NAMES = ("accuracy", "params", "MACs", "bytes", "effective params", "effective FLOPs")
_PIXELS = 21
"""Height of a bar, in pixels."""


def bars_figure(summary: StudySummary) -> go.Figure:
    """Accuracy and costs of baseline and winners, in percent of the baseline's."""
    base = summary.baseline
    figure = go.Figure()
    figure.add_trace(
        _bars("baseline", [100.0] * len(_NAMES), _texts(base.accuracy, base.cost), BASELINE_COLOUR)
    )
    whole = _figures(base.accuracy, base.cost)
    winners = marked(summary)
    for winner in winners:
        point = winner.point
        accuracy = base.accuracy - point.drop
        ours = _figures(accuracy, point.cost)
        shares = [
            100 * mine / theirs if theirs else 0.0 for mine, theirs in zip(ours, whole, strict=True)
        ]
        texts = [
            f"{text}{_times(share)}"
            for text, share in zip(_texts(accuracy, point.cost), shares, strict=True)
        ]
        colour = budget_colour(winner.place)
        figure.add_trace(_bars(winner.budgets, shares, texts, colour))
    figure.update_layout(
        barmode="group",
        bargap=0.28,
        bargroupgap=0.08,
        xaxis={
            "title": {"text": "% of the baseline"},
            "range": [0, 125],
            "tickvals": [0, 20, 40, 60, 80, 100],
        },
        yaxis={"autorange": "reversed", "showgrid": False},
    )
    return styled(figure, height=120 + _PIXELS * len(_NAMES) * (2 + len(winners)))


def _bars(name: str, shares: Sequence[float], texts: Sequence[str], colour: str) -> go.Bar:
    return go.Bar(
        name=name,
        orientation="h",
        y=list(_NAMES),
        x=list(shares),
        text=list(texts),
        textposition="outside",
        cliponaxis=False,
        marker={"color": colour},
        hovertemplate=f"%{{y}}, {name}: %{{text}}, %{{x:.1f}} %<extra></extra>",
    )


def _figures(accuracy: float, cost: Cost) -> list[float]:
    effective = (cost.params_effective, cost.flops_effective)
    return [accuracy, cost.params, cost.macs, cost.bytes, *effective]


def _texts(accuracy: float, cost: Cost) -> list[str]:
    _, params, macs, size, *effective = (short(value) for value in _figures(accuracy, cost))
    return [f"{accuracy:.2f} %", params, macs, f"{size}B", *effective]


def _times(share: float) -> str:
    """The reduction factor in words, if it is substantial."""
    return f" ({100 / share:.1f}x less)" if 0 < share < 90 else ""
