"""What smaller costs in accuracy: the drop of every plan against how much cheaper it is."""

from collections.abc import Sequence

import plotly.graph_objects as go

from ..results.pareto import relative_cost
from ..results.summary import Answer
from ..study.trial_record import How
from .points import Point, marked, points_of
from .style import FAR, INK, PAPER, QUIET, budget_colour, figures, in_words, round_numbers, styled


def drops_figure(answer: Answer) -> go.Figure:
    """The drop over "times cheaper": the geometric mean of what params and FLOPs shrink by.

    Winners bring their drop on the test split with its 95 % interval. Drops far beyond the largest
    budget are triangles at the upper edge.
    """
    found = points_of(answer)
    top = FAR * max((one.budget.max_drop for one in answer.verdicts), default=1.0) or 1.0
    figure = go.Figure()
    shown = [one for one in found if one.drop <= top]
    figure.add_trace(_plans(answer, shown, "plans", "circle", [one.drop for one in shown]))
    if above := [one for one in found if one.drop > top]:
        name = f"over {top:g} pp"
        figure.add_trace(_plans(answer, above, name, "triangle-up", [top] * len(above)))
    if any(one.how is How.HOPELESS for one in answer.records):
        figure.add_trace(_stopped(answer, top))
    _add_winners(figure, answer)
    for place, verdict in enumerate(answer.verdicts):
        figure.add_hline(
            y=verdict.budget.max_drop,
            line={"width": 1.3, "dash": "dot", "color": budget_colour(place)},
            annotation={
                "text": verdict.budget.text,
                "font": {"color": budget_colour(place), "size": 12},
                "xanchor": "left",
                "yanchor": "bottom",
            },
            annotation_position="left",
        )
    lowest = min((one.drop for one in found), default=0.0)
    cheaper = [_cheaper(answer, one) for one in found] or [1.0]
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


def _cheaper(answer: Answer, point: Point) -> float:
    return 1 / relative_cost(answer.baseline.cost, point.cost)


def _plans(
    answer: Answer, shown: Sequence[Point], name: str, symbol: str, at: Sequence[float]
) -> go.Scatter:
    return go.Scatter(
        name=name,
        mode="markers",
        x=[_cheaper(answer, one) for one in shown],
        y=list(at),
        marker={
            "symbol": symbol,
            "size": 8,
            "color": QUIET,
            "opacity": 0.75,
            "line": {"width": 0.6, "color": PAPER},
        },
        cliponaxis=False,
        text=[one.words for one in shown],
        hovertemplate="%{text}<extra></extra>",
    )


def _stopped(answer: Answer, top: float) -> go.Scatter:
    """Plans that were given up early, at the least that their drop would have been."""
    given_up = [
        (one.number, one.plan, one.cost, one.at_least)
        for one in answer.records
        if one.how is How.HOPELESS and one.plan and one.cost and one.at_least is not None
    ]
    return go.Scatter(
        name="stopped early",
        mode="markers",
        x=[1 / relative_cost(answer.baseline.cost, cost) for _, _, cost, _ in given_up],
        y=[min(bound, top) for *_, bound in given_up],
        marker={"symbol": "triangle-up-open", "size": 8, "color": QUIET, "opacity": 0.75},
        cliponaxis=False,
        text=[
            f"<b>trial {number}</b>, stopped early: {bound:+.2f} pp or more<br>"
            f"{figures(cost)}<br>{in_words(plan)}"
            for number, plan, cost, bound in given_up
        ],
        hovertemplate="%{text}<extra></extra>",
    )


def _add_winners(figure: go.Figure, answer: Answer) -> None:
    """Each winner where the search saw it, and where the test split did."""
    for winner in marked(answer):
        point, colour = winner.point, budget_colour(winner.place)
        verdict = answer.verdicts[winner.place]
        cheaper = _cheaper(answer, point)
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
        tested = answer.tested_winner(verdict)
        if tested is None or tested.paired is None:
            continue
        low, high = tested.paired.interval
        figure.add_trace(
            go.Scatter(
                name=f"its drop on the test split, 95 % interval ({winner.budgets})",
                showlegend=False,
                mode="markers",
                x=[cheaper],
                y=[tested.drop],
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": [high - tested.drop],
                    "arrayminus": [tested.drop - low],
                    "color": colour,
                    "thickness": 1.6,
                    "width": 6,
                },
                marker={"symbol": "diamond", "size": 9, "color": colour},
                text=[f"{tested.drop:+.2f} pp, 95 % interval {low:+.2f} to {high:+.2f}"],
                hovertemplate=f"<b>winner at {winner.budgets}</b> on the test split<br>"
                "%{text}<extra></extra>",
            )
        )
