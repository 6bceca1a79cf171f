"""The figures of a report, and the reasons for missing ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import optuna
import plotly.graph_objects as go
from markupsafe import Markup

from ...errors import ParedownError
from ...spaces.apply import predict_graph
from ...spaces.graph.blueprint import Blueprint
from ..ablation.saved_ablation import Ablation
from ..figures.ablation_chart import attribution_figure
from ..figures.bars import bars_figure
from ..figures.drops import drops_figure
from ..figures.front import front_figure
from ..figures.hypervolume_history import progress_figure
from ..figures.layer_chart import layers_figure
from ..figures.layer_costs import compare_layers
from ..figures.parallel import parallel_figure
from ..figures.points import marked, points_of
from ..figures.style import budget_colour
from ..figures.times import in_time, times_figure
from ..results.summary import StudySummary
from ..runner.run_study import prepare
from ..study.identity import identity
from ..study.saved_config import read_saved_config
from ..study.storage import check_same
from ..study.timings import read_timings, training_timings
from .page_file import harmless

_NARROW, _WIDE = 0, 640
"""Smallest widths of figures in pixels; on narrower screens they scroll."""


@dataclass(frozen=True)
class Picture:
    """One figure.

    Attributes:
        name: name of its HTML element.
        html: Plotly's JSON; empty if the figure is missing.
        least: smallest width in pixels.
        height: height in pixels.
        note: a remark, or why the figure is missing.
    """

    name: str
    html: Markup
    least: int
    height: int
    note: str = ""


def pictures(
    study: optuna.Study, summary: StudySummary, ablations: Sequence[Ablation]
) -> dict[str, Picture]:
    """All figures by name; those of ablations are "attribution-0", "attribution-1"..."""
    pictures = [
        _picture("front", front_figure(summary)),
        _picture("bars", bars_figure(summary)),
        _picture("drops", drops_figure(summary)),
        _picture("progress", progress_figure(summary)),
        _parallel(summary),
        _times(study, summary),
        _layers(study, summary),
        *(
            _picture(f"attribution-{place}", attribution_figure(item), _WIDE)
            for place, item in enumerate(ablations)
        ),
    ]
    return {picture.name: picture for picture in pictures}


def _picture(name: str, figure: go.Figure, least: int = _NARROW, note: str = "") -> Picture:
    return Picture(name, harmless(figure.to_json()), least, int(figure.layout.height), note)


def _missing(name: str, why: str) -> Picture:
    return Picture(name, Markup(""), _NARROW, 0, why)


def _parallel(summary: StudySummary) -> Picture:
    if len(points_of(summary)) < 2:
        return _missing("parallel", "Comparing decisions needs at least two scored plans.")
    figure = parallel_figure(summary)
    return _picture("parallel", figure, 116 * len(figure.data[0].dimensions))


def _times(study: optuna.Study, summary: StudySummary) -> Picture:
    spent = read_timings(study)
    if spent:
        whole = in_time(sum(spent.values()))
        return _picture("times", times_figure(spent), note=f"{whole} over all runs of the study.")
    spent = training_timings(summary.records)
    if not spent:
        return _missing("times", "The study has no timings.")
    note = (
        f"{in_time(sum(spent.values()))} for trials; the times of baseline, finalists and sampler "
        "are stored when a run ends."
    )
    return _picture("times", times_figure(spent), note=note)


def _layers(study: optuna.Study, summary: StudySummary) -> Picture:
    winners = marked(summary)
    if not winners:
        return _missing("layers", "The study has no winner to compare with the baseline.")
    try:
        blueprint = _blueprint(study)
    except (ParedownError, OSError) as error:
        why = " ".join(str(error).split())
        return _missing("layers", f"This figure needs the model and its data: {why}")
    blueprints = [predict_graph(blueprint, marked.point.plan) for marked in winners]
    figure = layers_figure(
        compare_layers(blueprint, blueprints),
        ["baseline", *(marked.budgets for marked in winners)],
        [budget_colour(marked.place) for marked in winners],
    )
    return _picture("layers", figure, _WIDE)


def _blueprint(study: optuna.Study) -> Blueprint:
    """The blueprint of the study's model.

    Raises:
        ParedownError: model or data cannot be loaded, or differ from the study's.
    """
    task, space = prepare(read_saved_config(study))
    check_same(study, "its storage", identity(task, space))
    return space.blueprint
