"""How the search went on: the hypervolume of each budget's front over the trainings."""

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
    """The hypervolume of what keeps within each budget, in logarithms, after so many trainings.

    Measured from the baseline, so that halving params or FLOPs counts the same wherever one is.
    Plans scored at other bit-widths cost no training and count where they came.
    """
    figure = go.Figure()
    for place, result in reversed(list(enumerate(summary.results))):
        steps = list(_volumes(summary, result.budget))
        parts = [f"{after} trained: {volume:.2f}" for after, volume in steps]
        last, volume = steps[-1]
        steps.append((last + 1, volume))  # it holds until the next one is trained
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
    """After 0, 1, 2... trainings, the hypervolume of the front so far."""
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
    """Logarithms of the objectives' shares of the baseline's, [1, objectives]."""
    pairs = zip(cost.objectives, baseline.objectives, strict=True)
    return numpy.array([[math.log(ours / theirs) for ours, theirs in pairs]])
