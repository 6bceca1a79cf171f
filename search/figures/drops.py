"""Scatter plot of drops against cost reduction."""

from collections.abc import Sequence

import plotly.graph_objects as go

from ..formatting import cost_in_words
from ..results.pareto import relative_cost
from ..results.summary import StudySummary
from ..study.trial_record import TrialStatus
from .points import Point, marked, points_of
from .style import FAR, INK, PAPER, QUIET, budget_colour, in_words, round_numbers, styled


def drops_figure(summary: StudySummary) -> go.Figure:
    """Drop over cost reduction, the geometric mean of the reductions of params and FLOPs.

    Winners are also shown with their drop on the test split and its 95 % interval. Drops far beyond
    the largest budget are triangles at the upper edge.
    """
    points = points_of(summary)
    top = FAR * max((result.budget.max_drop for result in summary.results), default=1.0) or 1.0
    figure = go.Figure()
    shown = [point for point in points if point.drop <= top]
    figure.add_trace(_plans(summary, shown, "plans", "circle", [point.drop for point in shown]))
    if above := [point for point in points if point.drop > top]:
        name = f"over {top:g} pp"
        figure.add_trace(_plans(summary, above, name, "triangle-up", [top] * len(above)))
    if any(record.status is TrialStatus.EARLY_STOPPED for record in summary.records):
        figure.add_trace(_stopped(summary, top))
    _add_winners(figure, summary)
    for place, result in enumerate(summary.results):
        figure.add_hline(
            y=result.budget.max_drop,
            line={"width": 1.3, "dash": "dot", "color": budget_colour(place)},
            annotation={
                "text": result.budget.text,
                "font": {"color": budget_colour(place), "size": 12},
                "xanchor": "left",
                "yanchor": "bottom",
            },
            annotation_position="left",
        )
    lowest = min((point.drop for point in points), default=0.0)
    cheaper = [_cheaper(summary, point) for point in points] or [1.0]
    low, high = min(cheaper), max(cheaper)
    ticks = round_numbers(low / 3, high * 3, (1, 2, 5) if high < 30 * low else (1, 3))
    figure.update_layout(
        xaxis={
            "type": "log",
            "title": {"text": "times cheaper than the baseline"},
            "tickvals": ticks,
            "ticktext": [f"{tick:,g}x" for tick in ticks],
        },
        yaxis={
            "title": {"text": "drop, pp"},
            "range": [min(lowest, 0.0) - 0.08 * top, 1.06 * top],
            "zeroline": True,
        },
    )
    return styled(figure, height=480)


def _cheaper(summary: StudySummary, point: Point) -> float:
    return 1 / relative_cost(summary.baseline.cost, point.cost)


def _plans(
    summary: StudySummary, shown: Sequence[Point], name: str, symbol: str, at: Sequence[float]
) -> go.Scatter:
    return go.Scatter(
        name=name,
        mode="markers",
        x=[_cheaper(summary, point) for point in shown],
        y=list(at),
        marker={
            "symbol": symbol,
            "size": 8,
            "color": QUIET,
            "opacity": 0.75,
            "line": {"width": 0.6, "color": PAPER},
        },
        cliponaxis=False,
        text=[point.words for point in shown],
        hovertemplate="%{text}<extra></extra>",
    )


def _stopped(summary: StudySummary, top: float) -> go.Scatter:
    """Plans that were stopped early, at the lower bounds of their drops."""
    given_up = [
        (record.number, record.plan, record.cost, record.drop_lower_bound)
        for record in summary.records
        if record.status is TrialStatus.EARLY_STOPPED
        and record.plan
        and record.cost
        and record.drop_lower_bound is not None
    ]
    return go.Scatter(
        name="stopped early",
        mode="markers",
        x=[1 / relative_cost(summary.baseline.cost, cost) for _, _, cost, _ in given_up],
        y=[min(bound, top) for *_, bound in given_up],
        marker={"symbol": "triangle-up-open", "size": 8, "color": QUIET, "opacity": 0.75},
        cliponaxis=False,
        text=[
            f"<b>trial {number}</b>, stopped early: {bound:+.2f} pp or more<br>"
            f"{cost_in_words(cost)}<br>{in_words(plan)}"
            for number, plan, cost, bound in given_up
        ],
        hovertemplate="%{text}<extra></extra>",
    )


def _add_winners(figure: go.Figure, summary: StudySummary) -> None:
    """Each winner at its drop on the search split, and on the test split."""
    for winner in marked(summary):
        point, colour = winner.point, budget_colour(winner.place)
        result = summary.results[winner.place]
        cheaper = _cheaper(summary, point)
        figure.add_trace(
            go.Scatter(
                name=f"winner, {winner.budgets}",
                mode="markers",
                x=[cheaper],
                y=[point.drop],
                marker={
                    "symbol": "star",
                    "size": 17,
                    "color": colour,
                    "line": {"width": 1.2, "color": INK},
                },
                text=[point.words],
                hovertemplate="%{text}<extra></extra>",
            )
        )
        test_score = summary.winner_test_score(result)
        if test_score is None or test_score.paired is None:
            continue
        low, high = test_score.paired.interval
        figure.add_trace(
            go.Scatter(
                name=f"its drop on the test split, 95 % interval ({winner.budgets})",
                showlegend=False,
                mode="markers",
                x=[cheaper],
                y=[test_score.drop],
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": [high - test_score.drop],
                    "arrayminus": [test_score.drop - low],
                    "color": colour,
                    "thickness": 1.6,
                    "width": 6,
                },
                marker={"symbol": "diamond", "size": 9, "color": colour},
                text=[f"{test_score.drop:+.2f} pp, 95 % interval {low:+.2f} to {high:+.2f}"],
                hovertemplate=f"<b>winner at {winner.budgets}</b> on the test split<br>"
                "%{text}<extra></extra>",
            )
        )
