"""Figures: what they show is what a study has found."""

import math
from collections.abc import Sequence

import optuna
import pytest
import torch
from paredown.objectives.accuracy.budget import Budget
from paredown.objectives.cost.cost import Cost, count
from paredown.search.figures.bars import bars_figure
from paredown.search.figures.drops import drops_figure
from paredown.search.figures.front import front_figure
from paredown.search.figures.hypervolume_history import progress_figure
from paredown.search.figures.layer_costs import compare_layers
from paredown.search.figures.parallel import parallel_figure
from paredown.search.figures.times import in_time, times_figure
from paredown.search.results.pareto import budget_results
from paredown.search.results.summary import StudySummary
from paredown.search.study.storage import Baseline
from paredown.search.study.timings import add_timings, read_hardware, read_timings, training_timings
from paredown.search.study.trial_record import TrialRecord, TrialStatus
from paredown.spaces.apply import predict_graph
from paredown.spaces.models import build_model
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.space import Space

BASELINE = Baseline(95.0, Cost(1000, 1000.0, 500, 1000.0, 0, 4000), "digest")
ROWS = (
    # width of stage 1, params, FLOPs, drop, how
    (1.0, 1000, 1000, 0.0, TrialStatus.EVALUATED),
    (0.9, 500, 500, 0.5, TrialStatus.EVALUATED),
    (0.8, 250, 500, 0.4, TrialStatus.REUSED_WEIGHTS),
    (0.7, 500, 100, 1.8, TrialStatus.EVALUATED),
    (0.6, 50, 20, 40.0, TrialStatus.EVALUATED),
    (0.5, 40, 20, None, TrialStatus.EARLY_STOPPED),
)


def answer_of(
    rows: Sequence[tuple[float, int, int, float | None, TrialStatus]], *budgets: float
) -> StudySummary:
    records = [
        TrialRecord(
            number,
            status,
            Plan.of({"width": {"stage1": width}, "bits": {"<b>": "w8a8"}}),
            Cost(params, float(params), flops // 2, float(flops), 0, 4 * params),
            None if drop is None else 95 - drop,
            drop,
            seconds={"train": 2.0, "score": 0.5},
            drop_lower_bound=30.0 if status is TrialStatus.EARLY_STOPPED else None,
        )
        for number, (width, params, flops, drop, status) in enumerate(rows)
    ]
    asked = [Budget(value) for value in budgets]
    return StudySummary("made up", BASELINE, records, budget_results(records, BASELINE, asked), {})


@pytest.fixture
def summary() -> StudySummary:
    return answer_of(ROWS, 1.0, 2.0)


def test_the_front_has_every_scored_plan_and_marks_the_winners(summary: StudySummary) -> None:
    traces = {item.name: item for item in front_figure(summary).data}
    assert list(traces["plans"].x) == [1000, 500, 250, 500]
    assert list(traces["plans"].marker.color) == [0.0, 0.5, 0.4, 1.8]
    assert list(traces["over 2 pp"].x) == [50]
    # 250 x 500 is the cheapest within 1 pp; within 2 pp it is 500 x 100
    assert list(traces["winners"].x) == [250, 500]
    assert list(traces["winners"].text) == ["<b>1 pp</b>", "<b>2 pp</b>"]
    assert list(zip(traces["front at 2 pp"].x, traces["front at 2 pp"].y, strict=True)) == [
        (250, 1000),  # from above
        (250, 500),
        (500, 100),
        (1000, 100),  # to where the baseline is
    ]
    assert "width 0.8 in stage 1" in traces["plans"].text[2]
    assert "&lt;b&gt;" in traces["plans"].text[2]
    assert front_figure(summary).layout.xaxis.type == "log"


def test_one_star_stands_for_all_budgets_that_a_plan_wins() -> None:
    figure = front_figure(answer_of(ROWS[:3], 1.0, 2.0))
    (stars,) = [item for item in figure.data if item.name == "winners"]
    assert list(stars.text) == ["<b>1 and 2 pp</b>"]


def test_progress_is_the_area_that_fronts_cover_in_logarithms(summary: StudySummary) -> None:
    two, item = progress_figure(summary).data
    ln = math.log
    half = ln(2) * ln(2)
    # What is scored at other bits counts with the training before it.
    both = ln(4) * ln(2)
    assert list(item.x) == [0, 1, 2, 3, 4, 5, 6]
    assert list(item.y) == pytest.approx([0, 0, both, both, both, both, both])
    wider = both + ln(2) * (ln(10) - ln(2))
    assert list(two.y) == pytest.approx([0, 0, both, wider, wider, wider, wider])
    first = progress_figure(answer_of(ROWS[:2], 1.0)).data[0]
    assert list(first.y) == pytest.approx([0, 0, half, half])


def test_bars_are_shares_of_the_baseline(summary: StudySummary) -> None:
    baseline, small, _ = bars_figure(summary).data
    assert set(baseline.x) == {100.0}
    shares = dict(zip(small.y, small.x, strict=True))
    assert shares["params"] == pytest.approx(25)
    assert shares["MACs"] == pytest.approx(50)
    assert shares["accuracy"] == pytest.approx(100 * 94.6 / 95)
    assert "(4.0x less)" in small.text[list(small.y).index("bytes")]


def test_drops_far_out_are_drawn_at_the_edge(summary: StudySummary) -> None:
    traces = {item.name: item for item in drops_figure(summary).data}
    assert list(traces["over 8 pp"].y) == [8.0]
    assert list(traces["stopped early"].y) == [8.0]
    assert "+40.00" in traces["over 8 pp"].text[0]
    # the geometric mean of what 250 x 500 saves of 1000 x 1000
    assert traces["winner, 1 pp"].x[0] == pytest.approx(math.sqrt(4 * 2))


def test_parallel_coordinates_show_the_decisions_that_differ(summary: StudySummary) -> None:
    (lines,) = parallel_figure(summary).data
    labels = [item.label for item in lines.dimensions]
    assert labels == ["width stage1", "times cheaper", "drop, pp"]
    assert next(iter(lines.dimensions[0].ticktext)) == "1"
    assert max(lines.dimensions[2].values) == 8.0


def test_parallel_coordinates_keep_to_the_telling_decisions() -> None:
    rows = []
    for number in range(32):
        places = {f"stage{bit + 1}": 0.5 for bit in range(5) if number >> bit & 1}
        drop = 5.0 * ("stage4" in places) + 0.01 * number
        cost = Cost(1000, 1000.0 - 500 * ("stage2" in places), 500, 1000.0, 0, 4000)
        rows.append(
            TrialRecord(number, TrialStatus.EVALUATED, Plan.of({"width": places}), cost, 90.0, drop)
        )
    summary = StudySummary(
        "made up", BASELINE, rows, budget_results(rows, BASELINE, [Budget(1.0)]), {}
    )
    (lines,) = parallel_figure(summary, most=2).data
    assert [item.label for item in lines.dimensions][:2] == ["width stage2", "width stage4"]


@pytest.mark.parametrize("rows", [(), ROWS[4:], ROWS[:1]])
def test_studies_with_little_in_them_have_pictures_too(
    rows: Sequence[tuple[float, int, int, float | None, TrialStatus]],
) -> None:
    summary = answer_of(rows, 0.0)
    for make in (front_figure, progress_figure, bars_figure, drops_figure, parallel_figure):
        assert make(summary).to_json()


def test_rows_of_layers_sum_up_to_the_costs() -> None:
    network = build_model("resnet20", 10, 3)
    blueprint = trace_with_groups(network, torch.zeros(2, 3, 16, 16))
    space = Space.of(blueprint)
    plans = [
        Plan.of({"block": {"stage1": "separable"}, "prune": {"stage2": 0.5}}),
        Plan.of({"block": {"stage3": "inverted"}, "depth": {"stage2": 0.5}}),
    ]
    for plan in plans:
        space.check(plan)
    networks = [blueprint, *(predict_graph(blueprint, plan) for plan in plans)]
    for most in (40, 8, 1):
        rows = compare_layers(blueprint, networks[1:], most)
        for place, item in enumerate(networks):
            cost = count(item)
            assert sum(row.params[place] for row in rows) == cost.params
            assert sum(row.macs[place] for row in rows) == cost.macs
    rows = compare_layers(blueprint, networks[1:])
    by_name = {row.name: row for row in rows}
    assert by_name["linear"].params[0] == 650
    assert "layer3.0" in by_name, "a block that was replaced whole is one row"
    assert "layer1.0.conv1" in by_name
    assert by_name["layer2.2.conv1"].params[2] == 0, "left out by half the depth"
    assert len(compare_layers(blueprint, networks[1:], 12)) <= 12


def test_time_adds_up_over_runs(summary: StudySummary) -> None:
    study = optuna.create_study()
    assert read_timings(study) == {}
    add_timings(study, {"training": 1.5, "storage": 0.25}, "cpu fp32")
    add_timings(study, {"training": 2.0}, "cpu fp32")
    assert read_timings(study) == {"training": 3.5, "storage": 0.25}
    assert len(read_hardware(study)) == 1
    assert training_timings(summary.records) == {"training": 12.0, "scoring": 3.0}
    (bars,) = times_figure(read_timings(study)).data
    assert list(bars.y) == ["training, 93%", "storage, 7%"]
    assert [in_time(item) for item in (4.24, 274, 3 * 3600 + 61)] == [
        "4.2 s",
        "4 min 34 s",
        "3 h 1 min",
    ]
