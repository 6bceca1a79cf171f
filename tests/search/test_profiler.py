"""Where the time of a search goes: every second counted, and counted once."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial
from paredown.errors import TrainingDiverged
from paredown.objectives.cost.cost import Cost
from paredown.objectives.evaluation.evaluator import Evaluator
from paredown.objectives.evaluation.outcome import Outcome
from paredown.objectives.training.cache import Cache
from paredown.search.runner import search_loop
from paredown.search.runner.callbacks import Callback
from paredown.search.runner.run_study import Finished, search
from paredown.search.study.config import load_config
from paredown.search.study.profiler import Profiler
from paredown.search.study.trial_record import RecordReader, TrialStatus, read_records
from paredown.spaces.plan import Plan

URL = "sqlite:///paredown.db"
Run = Callable[..., Any]


class StageTimer:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> StageTimer:
    return StageTimer()


@pytest.fixture
def profile(clock: StageTimer) -> Profiler:
    return Profiler(clock)


def go(folder: Path, **options: object) -> Finished:
    return search(load_config("tiny.toml", options), URL, Cache(folder / "cache"), Callback())


def test_a_part_within_a_part_is_taken_off_the_outer_one(
    clock: StageTimer, profile: Profiler
) -> None:
    with profile.on("other"):
        clock.passes(1)
        with profile.on("storage"):
            clock.passes(2)
            with profile.on("sampling"):
                clock.passes(4)
                with profile.on("storage"):
                    clock.passes(8)
            clock.passes(16)
        clock.passes(32)
    assert profile.seconds == {"other": 33, "storage": 26, "sampling": 4}
    assert list(profile.seconds) == ["other", "storage", "sampling"], "the longest first"


def test_a_part_that_breaks_off_is_counted(clock: StageTimer, profile: Profiler) -> None:
    def break_off() -> None:
        with profile.on("inner"):
            clock.passes(2)
            raise KeyboardInterrupt

    with profile.on("other"):
        with pytest.raises(KeyboardInterrupt):
            break_off()
        clock.passes(1)
    assert profile.seconds == {"inner": 2, "other": 1}


def test_stages_of_an_evaluation_are_counted_under_their_parts(
    clock: StageTimer, profile: Profiler
) -> None:
    stages = {"assemble": 1.0, "train": 2.0, "prune": 4.0, "fine-tune": 8.0, "quantize": 16.0}

    def evaluate(plan: Plan) -> Outcome:
        clock.passes(40)
        return Outcome(plan, Cost(1, 1, 1, 1, 1, 1), 90.0, 1.0, stages | {"novel": 3.0})

    with profile.on("other"):
        profile.evaluation(evaluate, Plan())
    spent = dict(profile.seconds)
    assert spent.pop("unfinished") == 0
    parts = {"assembling": 1, "training": 10, "pruning": 4, "quantizing": 16, "novel": 3}
    assert spent == parts | {"other": 6}


def test_bits_that_are_trained_count_as_training(clock: StageTimer, profile: Profiler) -> None:
    def evaluate(plan: Plan) -> Outcome:
        clock.passes(5)
        return Outcome(plan, Cost(1, 1, 1, 1, 1, 1), 90.0, 1.0, {"quantize": 5.0})

    tuned = Plan.of({"bits": {"stage1": "w8a8"}, "quantizer": {"network": "qat"}})
    assert tuned.trains_at_last
    profile.evaluation(evaluate, tuned)
    assert profile.seconds["training"] == 5


def test_an_evaluation_that_fails_is_counted_as_unfinished(
    clock: StageTimer, profile: Profiler
) -> None:
    def evaluate(plan: Plan) -> Outcome:
        clock.passes(5)
        raise TrainingDiverged("the loss is nan")

    with pytest.raises(TrainingDiverged):
        profile.evaluation(evaluate, Plan())
    assert profile.seconds == {"unfinished": 5}


@pytest.mark.matrix
def test_the_parts_of_a_search_sum_to_the_whole(folder: Path) -> None:
    began = time.perf_counter()
    seconds = go(folder, trials=3).seconds
    whole = time.perf_counter() - began
    assert sum(seconds.values()) == pytest.approx(whole, rel=0.05)
    assert min(seconds.values()) >= -1e-6
    assert seconds.keys() >= {"training", "scoring", "quantizing", "sampling", "storage", "other"}
    assert 0 < seconds["storage"] < whole / 2


def test_sampling_is_counted_as_such(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pondered = []

    class Pondering(optuna.samplers.RandomSampler):
        def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
            time.sleep(0.2)
            pondered.append(trial.number)

    monkeypatch.setattr(search_loop, "make_sampler", lambda *_, **__: Pondering())
    seconds = go(folder, trials=2).seconds
    assert pondered
    assert 0.2 * len(pondered) <= seconds["sampling"] < 0.2 * len(pondered) + 0.2


def test_search_says_where_its_time_went(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAREDOWN_CACHE", str(folder / "cold"))  # nothing is trained yet
    ran = run("search", "tiny.toml", "--trials", "2")
    assert ran.code in (0, 3), ran.err
    table = ran.out.split("Time breakdown")[1].splitlines()
    rows = [line.split() for line in table if line.strip().endswith("%")]
    took = {row[0]: float(row[1]) for row in rows}
    assert "training" in took
    assert min(took.values()) > 0, "what took next to no time is left out"
    whole = took.pop("all")
    assert list(took.values()) == sorted(took.values(), reverse=True)
    assert sum(took.values()) == pytest.approx(whole, abs=0.1 * len(took) + 0.1)

    ran = run("search", "tiny.toml", "--trials", "2", "--json")
    seconds = json.loads(ran.out)["seconds"]
    assert seconds.get("training", 0) < 0.5, "of this run alone: the baseline is there"
    assert seconds["storage"] > 0
    assert "seconds" not in json.loads(run("best", "tiny", "--json").out)


def test_a_trial_for_free_is_kept_like_any_other(folder: Path) -> None:
    study = go(folder, trials=3).study
    records = read_records(study.trials)
    free = next(record.number for record in records if record.status is TrialStatus.REUSED_WEIGHTS)
    trained = next(
        record.number
        for record in records
        if record.status is TrialStatus.EVALUATED and record.number
    )
    ours, theirs = study.trials[free], study.trials[trained]
    own, common = {"reason", "free"}, theirs.user_attrs.keys() - {"pruned_share"}
    assert ours.user_attrs.keys() - {"pruned_share"} == common | own
    assert ours.distributions == theirs.distributions
    assert ours.system_attrs["constraints"] == [records[free].drop - 30]  # type: ignore[operator]
    assert ours.duration is not None
    assert ours.duration.total_seconds() > 0
    cost = records[free].cost
    assert cost is not None
    assert tuple(ours.values) == cost.objectives


@pytest.mark.matrix
def test_what_an_interrupt_left_undone_for_free_is_done_next_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate = Evaluator.evaluate
    calls: list[Plan] = []

    def interrupting(self: Evaluator, plan: Plan) -> Outcome:
        calls.append(plan)
        if len(calls) == 2:  # the baseline at other bits
            raise KeyboardInterrupt
        return evaluate(self, plan)

    monkeypatch.setattr(Evaluator, "evaluate", interrupting)
    finished = go(folder)
    assert finished.interrupted
    assert finished.seconds["unfinished"] >= 0
    assert [record.status for record in read_records(finished.study.trials)] == [
        TrialStatus.EVALUATED
    ]
    records = read_records(go(folder).study.trials)
    assert (records[1].status, records[1].plan) == (TrialStatus.REUSED_WEIGHTS, calls[1])


def test_a_trial_that_has_ended_is_parsed_once() -> None:
    study = optuna.create_study()
    plan = Plan.of({"bits": {"head": "w8a8"}})
    ended, running = study.ask(), study.ask()
    for trial in (ended, running):
        trial.set_user_attr("plan", plan.to_json())
    study.tell(ended, 1.0)
    reader = RecordReader(study)
    first = reader.records()
    assert first == read_records(study.trials)
    running.set_user_attr("status", "dominated")
    study.tell(running, 2.0)
    second = reader.records()
    assert second[0] is first[0]
    assert (first[1].status, second[1].status) == (TrialStatus.RUNNING, TrialStatus.DOMINATED)
