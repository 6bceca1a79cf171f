"""Scatter plot of the Pareto front: effective params and FLOPs, coloured by drop."""

from collections.abc import Sequence

import plotly.graph_objects as go

from ...objectives.cost.cost import Cost
from ..formatting import cost_in_words
from ..results.pareto import BudgetResult, front
from ..results.summary import StudySummary
from .points import Marked, Point, marked, points_of
from .style import (
    BASELINE_COLOUR,
    INK,
    PAPER,
    drop_colours,
    layered_line,
    log_axis,
    styled,
)


def front_figure(summary: StudySummary) -> go.Figure:
    """Effective params and FLOPs of every scored plan, with Pareto fronts and winners.

    Both axes are logarithmic; colour is the drop. Plans beyond the largest budget are hollow.
    """
    base, points = summary.baseline.cost, points_of(summary)
    largest = max((result.budget for result in summary.results), default=None)
    within = [point for point in points if largest is None or largest.allows(point.drop)]
    beyond = [point for point in points if point not in within]
    figure = go.Figure()
    if beyond:
        figure.add_trace(_plans(beyond, f"over {largest.text}" if largest else "", "circle-open"))
    for place, result in reversed(list(enumerate(summary.results))):
        line = layered_line(place)
        figure.add_trace(_line(summary, result, line).update(legendrank=900 + place))
    if within:
        figure.add_trace(_plans(within, "plans", "circle"))
    if winners := marked(summary):
        figure.add_trace(_winners(winners))
    figure.add_trace(_baseline(summary))
    costs = [base, *(point.cost for point in points)]
    params, flops = zip(*map(_at, costs), strict=True)
    figure.update_layout(
        xaxis=log_axis("effective params", params),
        yaxis=log_axis("effective FLOPs", flops),
        coloraxis=drop_colours([result.budget for result in summary.results]),
    )
    return styled(figure, height=540)


def _plans(shown: Sequence[Point], name: str, symbol: str) -> go.Scatter:
    hollow = symbol.endswith("open")
    return go.Scatter(
        name=name,
        mode="markers",
        x=[point.cost.params_effective for point in shown],
        y=[point.cost.flops_effective for point in shown],
        marker={
            "symbol": symbol,
            "size": 7 if hollow else 10,
            "color": [point.drop for point in shown],
            "coloraxis": "coloraxis",
            "opacity": 0.55 if hollow else 0.9,
            "line": {"width": 1.2 if hollow else 0.8, **({} if hollow else {"color": PAPER})},
        },
        text=[point.words for point in shown],
        hovertemplate="%{text}<extra></extra>",
    )


def _at(cost: Cost) -> tuple[float, float]:
    """Coordinates of a cost, independent of the study's objectives."""
    return cost.params_effective, cost.flops_effective


def _line(summary: StudySummary, result: BudgetResult, line: dict[str, object]) -> go.Scatter:
    """A budget's Pareto front as a step line; everything above and to the right is dominated."""
    members = sorted(
        _at(record.cost) for record in front(summary.records, result.budget) if record.cost
    )
    base_params, base_flops = _at(summary.baseline.cost)
    if members:  # extend the line to the baseline
        top, bottom = (members[0][0], base_flops), (base_params, members[-1][1])
        members = [top, *members, bottom]
    return go.Scatter(
        name=f"front at {result.budget.text}",
        mode="lines",
        x=[params for params, _ in members],
        y=[flops for _, flops in members],
        line=line,
        opacity=0.7,
        hoverinfo="skip",
    )


def _winners(winners: Sequence[Marked]) -> go.Scatter:
    return go.Scatter(
        name="winners",
        mode="markers+text",
        x=[marked.point.cost.params_effective for marked in winners],
        y=[marked.point.cost.flops_effective for marked in winners],
        marker={
            "symbol": "star",
            "size": 19,
            "color": [marked.point.drop for marked in winners],
            "coloraxis": "coloraxis",
            "line": {"width": 1.5, "color": INK},
        },
        text=[f"<b>{marked.budgets}</b>" for marked in winners],
        textposition="top left",
        cliponaxis=False,
        customdata=[
            f"<b>winner at {marked.budgets}</b><br>{marked.point.words}" for marked in winners
        ],
        hovertemplate="%{customdata}<extra></extra>",
    )


def _baseline(summary: StudySummary) -> go.Scatter:
    base = summary.baseline
    return go.Scatter(
        name="baseline",
        mode="markers",
        x=[base.cost.params_effective],
        y=[base.cost.flops_effective],
        marker={"symbol": "diamond", "size": 13, "color": BASELINE_COLOUR},
        text=[f"<b>baseline</b>, {base.accuracy:.2f} %<br>{cost_in_words(base.cost)}"],
        hovertemplate="%{text}<extra></extra>",
    )
