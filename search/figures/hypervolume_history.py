"""Line plot of the hypervolume of each budget's Pareto front over the trained plans."""

import math
from collections.abc import Iterator

import numpy
import plotly.graph_objects as go

from ...objectives.accuracy.budget import Budget
from ...objectives.cost.cost import Cost
from ..results.summary import StudySummary
from ..samplers.hypervolume import Array, hypervolume, nondominated
from .style import layered_line, styled


def progress_figure(summary: StudySummary) -> go.Figure:
    """Hypervolume of each budget's Pareto front over the number of trained plans.

    In logarithms of the objectives relative to the baseline, so that halving params or FLOPs counts
    the same at any size. Plans scored without training count at their position.
    """
    figure = go.Figure()
    for place, result in reversed(list(enumerate(summary.results))):
        steps = list(_volumes(summary, result.budget))
        parts = [f"{after} trained: {volume:.2f}" for after, volume in steps]
        last, volume = steps[-1]
        steps.append((last + 1, volume))  # constant until the next training
        figure.add_trace(
            go.Scatter(
                name=f"within {result.budget.text}",
                mode="lines",
                x=[trainings for trainings, _ in steps],
                y=[volume for _, volume in steps],
                line=layered_line(place),
                legendrank=900 + place,
                text=[*parts, parts[-1]],
                hovertemplate=f"%{{text}} within {result.budget.text}<extra></extra>",
            )
        )
    figure.update_layout(
        xaxis={"title": {"text": "plans trained"}, "rangemode": "tozero"},
        yaxis={"title": {"text": "log-hypervolume"}, "rangemode": "tozero"},
    )
    return styled(figure, height=380)


def _volumes(summary: StudySummary, budget: Budget) -> Iterator[tuple[int, float]]:
    """The hypervolume of the front after 0, 1, 2... trained plans."""
    base, trainings = summary.baseline.cost, 0
    front = numpy.empty((0, len(base.objectives)))
    yield 0, 0.0
    for place, record in enumerate(summary.records):
        trainings += record.took_training
        if record.drop is not None and record.cost and budget.allows(record.drop):
            front = nondominated(numpy.vstack([front, _relative(record.cost, base)]))
        last = place + 1 == len(summary.records)
        if last or summary.records[place + 1].took_training:
            yield trainings, hypervolume(front)


def _relative(cost: Cost, baseline: Cost) -> Array:
    """Logarithms of the objectives relative to the baseline, [1, objectives]."""
    pairs = zip(cost.objectives, baseline.objectives, strict=True)
    return numpy.array([[math.log(ours / theirs) for ours, theirs in pairs]])
