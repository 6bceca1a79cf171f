"""Real studies on digits with a tiny network, in this process."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import optuna
import pytest
import torch
from paredown.errors import StorageError
from paredown.heartbeat import beat
from paredown.objectives.accuracy.budget import Budget
from paredown.objectives.evaluation import pipeline as builder_module
from paredown.objectives.evaluation.evaluator import Evaluator
from paredown.objectives.training import training_loop as training_module
from paredown.objectives.training.cache import Cache
from paredown.search.results.summary import StudySummary, summarize
from paredown.search.runner.callbacks import Callback
from paredown.search.runner.run_study import Finished, search
from paredown.search.samplers import SAMPLERS
from paredown.search.study.config import load_config
from paredown.search.study.storage import continue_or_create, open_storage
from paredown.search.study.trial_record import TrialRecord, TrialStatus, count_trained, read_records
from paredown.spaces.plan import Plan
from paredown.spaces.space import Space, Suggests
from paredown.spaces.technique import Phase
from paredown.tests.matrix import represented

URL = "sqlite:///paredown.db"


class Recorder(Callback):
    """Keeps what a search said."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.ended: list[TrialRecord] = []

    def stage(self, name: str, epochs: int = 0) -> None:
        self.stages.append(name)

    def trial_ended(self, record: TrialRecord, records: Sequence[TrialRecord]) -> None:
        self.ended.append(record)


def go(folder: Path, callback: Callback | None = None, **options: object) -> Finished:
    config = load_config("tiny.toml", options)
    return search(config, URL, Cache(folder / "cache"), callback or Recorder())


def found_by(study: optuna.Study, *budgets: float) -> StudySummary:
    return summarize(study, [Budget(pp) for pp in budgets])


def shown(records: Sequence[TrialRecord]) -> list[tuple[object, ...]]:
    return [(r.number, r.status, r.plan, r.cost, r.accuracy) for r in records]


@pytest.mark.parametrize("sampler", represented(SAMPLERS.names, "nsga2".__eq__))
def test_every_sampler_completes_a_study(sampler: str, folder: Path) -> None:
    study = go(folder, sampler=sampler, trials=6).study
    records = read_records(study.trials)
    scored = [record for record in records if record.status is TrialStatus.EVALUATED]
    assert len(scored) == 6
    assert len(records) > 10, "enough for samplers to begin with their own"
    assert records[0].plan == Plan()
    assert records[0].drop == 0
    assert study.directions == [optuna.study.StudyDirection.MINIMIZE] * 2
    for trial, record in zip(study.trials, records, strict=True):
        assert record.cost is not None
        assert tuple(trial.values) == record.cost.objectives
        (constraint,) = trial.constraints.values()
        beyond = 0.0 if record.drop is None else record.drop - 30
        assert math.isclose(constraint, beyond, abs_tol=1e-12)


def test_the_same_seed_gives_the_same_plans_and_winners(folder: Path) -> None:
    runs = []
    for name in ("one", "two"):
        config = load_config("tiny.toml", {"name": name, "sampler": "tpe", "trials": 6})
        study = search(config, URL, Cache(folder / name), Recorder()).study
        winners = [v.winner.plan if v.winner else None for v in found_by(study, 1, 30).results]
        runs.append((shown(read_records(study.trials)), winners, summarize(study).test_scores))
    assert runs[0] == runs[1]


@pytest.mark.matrix
def test_another_seed_gives_other_results(folder: Path) -> None:
    first = go(folder, name="a", seed=1, trials=2).study
    second = go(folder, name="b", seed=2, trials=2).study
    assert shown(read_records(first.trials)) != shown(read_records(second.trials))


def test_a_search_goes_on_where_it_stopped(folder: Path) -> None:
    go(folder, trials=3)
    watcher = Recorder()
    study = go(folder, watcher, trials=5).study
    assert [record.status for record in watcher.ended].count(TrialStatus.EVALUATED) == 2
    assert "baseline" not in watcher.stages, "the baseline is trained once"
    assert sum(r.status is TrialStatus.EVALUATED for r in read_records(study.trials)) == 5
    watcher = Recorder()
    go(folder, watcher, trials=5)
    assert not watcher.ended


def test_beaten_and_repeated_plans_are_told_without_training(folder: Path) -> None:
    space = 'width = [1.0, 0.5]\nblock = ["original"]\nprune = [0.0]\nbits = ["w32a32"]'
    text = Path("tiny.toml").read_text().split("[space]")[0]
    tail = "\n[baseline]" + Path("tiny.toml").read_text().split("[baseline]")[1]
    Path("tiny.toml").write_text(f"{text}[space]\n{space}\n{tail}")
    watcher = Recorder()
    study = go(folder, watcher, max_drop=[90, 95], trials=50).study
    records = read_records(study.trials)
    beaten = [record for record in records if record.status is TrialStatus.DOMINATED]
    evaluated = [record for record in records if record.status is TrialStatus.EVALUATED]
    assert beaten, "the narrowest plan is feasible and beats the others"
    assert watcher.stages.count("train") <= len(evaluated)
    for record in beaten:
        assert record.drop is None
        by = next(r for r in records if f"trial {r.number} " in record.reason)
        assert by.cost is not None
        assert record.cost is not None
        assert by.cost.dominates(record.cost)
    plans = [record.plan for record in evaluated]
    assert len(plans) == len(set(plans)), "no plan is trained twice"
    assert [record for record in records if record.status is TrialStatus.REPEATED]


def test_a_trained_network_is_scored_at_its_other_bits_for_free(folder: Path) -> None:
    watcher = Recorder()
    bits = ["w32a32", "w16a16", "w8a8", "w4a8"]
    narrow = {"width": [1.0, 0.5], "block": [], "prune": [], "bits": bits}
    study = go(folder, watcher, trials=3, space=narrow, max_drop=[0, 30]).study
    records = read_records(study.trials)
    evaluated = [record for record in records if record.status is TrialStatus.EVALUATED]
    shared = [record for record in records if record.status is TrialStatus.REUSED_WEIGHTS]
    assert len(evaluated) == 3
    assert shared, "a calibration each, on top of the trials that were asked for"
    trained = {r.plan.through(Phase.PRUNE): r.number for r in evaluated if r.plan}
    assert len(trained) == 3, "a network counts once"
    for record in shared:
        assert record.plan is not None
        number = trained[record.plan.through(Phase.PRUNE)]
        assert number < record.number
        assert record.reason == f"the network of trial {number} at other bits"
        assert "train" not in record.seconds
        assert record.is_scored
        assert not record.took_training
    plans = [record.plan for record in records if record.is_scored]
    assert len(plans) == len(set(plans))
    # The next search goes on without scoring any of them again.
    again = Recorder()
    go(folder, again, trials=3, space=narrow, max_drop=[0, 30])
    assert not again.ended


@pytest.mark.matrix
def test_plans_that_train_at_their_bits_are_trials_of_their_own(folder: Path) -> None:
    narrow = {
        "width": [1.0],
        "block": [],
        "prune": [],
        "bits": ["w32a32", "w8a8"],
        "quantizer": ["ptq", "qat"],
    }
    study = go(folder, trials=4, space=narrow, max_drop=[0, 30]).study
    records = read_records(study.trials)
    tuned = [r for r in records if r.plan is not None and r.plan.trains_at_last and r.is_scored]
    assert tuned
    assert {record.status for record in tuned} <= {TrialStatus.EVALUATED, TrialStatus.REPEATED}
    assert all(
        not r.plan.trains_at_last
        for r in records
        if r.status is TrialStatus.REUSED_WEIGHTS and r.plan
    )


@pytest.mark.matrix
def test_what_pruning_removed_is_told(folder: Path) -> None:
    narrow = {"width": [1.0], "block": [], "prune": [0.0, 0.5], "bits": ["w32a32"]}
    study = go(folder, trials=7, space=narrow, max_drop=[90]).study
    every = read_records(study.trials)
    record = next(r for r in every if r.plan and len(r.plan.chosen("prune")) == 3)
    assert record.pruned_share is not None
    assert record.cost is not None
    baseline = found_by(study, 90).baseline.cost
    assert record.pruned_share.params == pytest.approx(1 - record.cost.params / baseline.params)
    assert record.pruned_share.macs == pytest.approx(1 - record.cost.macs / baseline.macs)
    assert 0.4 < record.pruned_share.channels < 0.6
    (data,) = found_by(study, 90).to_dict()["budgets"]
    assert data["pruned_share"]["params"] == record.pruned_share.params


def test_a_small_space_ends_when_it_is_used_up(folder: Path) -> None:
    none = {"width": [1.0, 0.5], "block": [], "prune": [], "bits": []}
    study = go(folder, space=none, trials=500, max_drop=[0]).study
    assert len([r for r in read_records(study.trials) if r.status is TrialStatus.EVALUATED]) <= 8


def test_a_diverging_plan_fails_and_the_search_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = training_module.train

    def poisoned(network: torch.nn.Module, *args: object, **kwargs: object) -> None:
        # Real divergence: the network of the narrow plans starts from a NaN.
        first = next(network.parameters())
        if first.shape[0] == 8:
            with torch.no_grad():
                first[0] = math.nan
        train(network, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builder_module, "train", poisoned)
    space = {"width": [1.0, 0.5], "block": ["original", "separable"], "prune": [], "bits": []}
    study = go(folder, space=space, trials=6).study
    failed = [
        record for record in read_records(study.trials) if record.status is TrialStatus.FAILED
    ]
    assert failed
    assert all("loss is nan" in record.reason for record in failed)
    states = {trial.number: trial.state for trial in study.trials}
    assert {states[r.number] for r in failed} == {optuna.trial.TrialState.FAIL}
    assert sum(r.status is TrialStatus.EVALUATED for r in read_records(study.trials)) >= 1
    narrow = [r for r in read_records(study.trials) if r.plan and r.plan.chosen("width")]
    assert {record.status for record in narrow} <= {
        TrialStatus.FAILED,
        TrialStatus.DOMINATED,
        TrialStatus.EVALUATED,
    }


@pytest.mark.matrix
def test_an_interrupted_trial_is_proposed_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate = Evaluator.evaluate
    calls = []

    def interrupting(self: Evaluator, plan: Plan) -> object:
        calls.append(plan)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return evaluate(self, plan)

    monkeypatch.setattr(Evaluator, "evaluate", interrupting)
    finished = go(folder)
    assert finished.interrupted
    assert [r.status for r in read_records(finished.study.trials)][-1] is TrialStatus.STOPPED
    study = go(folder, trials=12).study
    assert calls[2] in calls[3:]
    assert count_trained(read_records(study.trials)) == 12


def test_the_time_limit_ends_the_search_and_keeps_what_it_had(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(folder, trials=2)
    evaluate = Evaluator.evaluate

    def slow(self: Evaluator, plan: Plan) -> object:
        if plan.chosen("width"):
            while True:  # as if it trained for hours
                beat()
        return evaluate(self, plan)

    monkeypatch.setattr(Evaluator, "evaluate", slow)
    finished = go(folder, timeout=3, trials=50)
    assert finished.out_of_time
    every = read_records(finished.study.trials)
    assert [record.reason for record in every if record.status is TrialStatus.STOPPED] == [
        "the time limit was reached"
    ]
    assert summarize(finished.study).test_scores, "winners have their share of the time"


def test_winners_are_tested_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tested: list[Plan] = []
    test = Evaluator.test

    def counting(self: Evaluator, plan: Plan) -> object:
        tested.append(plan)
        return test(self, plan)

    monkeypatch.setattr(Evaluator, "test", counting)
    study = go(folder).study
    go(folder)
    winners = {v.winner.plan for v in summarize(study).results if v.winner}
    assert len(tested) == len(set(tested))
    assert set(tested) == winners
    assert set(summarize(study).test_scores) == {plan.key for plan in tested}


def change_model(options: dict[str, object]) -> None:
    options["model"] = "resnet14"


def change_seed(options: dict[str, object]) -> None:
    options["seed"] = 99


def change_data(options: dict[str, object]) -> None:
    options["data"] = {"source": "digits", "size": 10}


def change_space(options: dict[str, object]) -> None:
    options["space"] = {"width": [1.0, 0.25]}


def change_recipe(options: dict[str, object]) -> None:
    options["train"] = {"epochs": 2}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (change_model, "model is resnet8 there and resnet14 here"),
        (change_seed, "seed is 3 there and 99 here"),
        (change_data, "images is"),
        (change_space, "space.stage1.width is [1.0, 0.5] there and [1.0, 0.25] here"),
        (change_recipe, "recipes.train.epochs is 1 there and 2 here"),
    ],
)
def test_a_study_of_something_else_is_left_as_it_is(
    folder: Path, change: Callable[[dict[str, object]], None], told: str
) -> None:
    study = go(folder, trials=1).study
    before = (len(study.trials), dict(study.user_attrs))
    options: dict[str, object] = {}
    change(options)
    with pytest.raises(StorageError, match="was created with a different configuration") as caught:
        go(folder, None, **options)
    assert told in str(caught.value)
    after = optuna.load_study(study_name="tiny", storage=URL)
    assert (len(after.trials), dict(after.user_attrs)) == before


def test_another_baseline_is_refused(folder: Path) -> None:
    config = load_config("tiny.toml", {"trials": 1})
    study = search(config, URL, Cache(folder / "cache"), Recorder()).study
    stored = dict(study.user_attrs["baseline"]) | {"digest": "another"}
    study.set_user_attr("baseline", stored)
    with pytest.raises(StorageError, match="has a different baseline"):
        search(config, URL, Cache(folder / "cache"), Recorder())


def test_somebody_elses_study_is_refused(folder: Path) -> None:
    optuna.create_study(study_name="tiny", storage=URL)
    with pytest.raises(StorageError, match="not made by Paredown"):
        continue_or_create(open_storage(URL), URL, "tiny", {"model": "resnet8"})


def test_attributes_are_what_the_dashboard_shows(folder: Path) -> None:
    study = go(folder, trials=2).study
    assert study.metric_names == ["effective params", "effective FLOPs"]
    attrs = study.trials[1].user_attrs
    assert attrs["params"] > attrs["params_effective"] > 0
    assert Plan.from_json(attrs["plan"]).choices
    assert json.loads(attrs["seconds"]).keys() >= {"score"}


def test_a_queued_plan_survives_an_interrupt_before_it_was_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suggest = Space.suggest
    asked = []

    def interrupting(self: Space, trial: Suggests) -> Plan:
        asked.append(trial)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return suggest(self, trial)

    monkeypatch.setattr(Space, "suggest", interrupting)
    study = go(folder).study
    queued = [t for t in study.trials if t.state == optuna.trial.TrialState.WAITING]
    stopped = next(t for t in study.trials if t.state == optuna.trial.TrialState.FAIL)
    assert stopped.system_attrs["fixed_params"] in [
        trial.system_attrs["fixed_params"] for trial in queued
    ]


def test_weights_that_break_in_the_last_step_fail_the_trial_and_not_the_search(
    folder: Path,
) -> None:
    space = {"width": [1.0, 0.5], "block": [], "prune": [], "bits": ["w8a8"]}
    recipe = {"epochs": 1, "max_lr": 1e30, "batch_size": 5000}  # one step, the loss before it
    study = go(folder, space=space, train=recipe, trials=3).study
    failed = [
        record for record in read_records(study.trials) if record.status is TrialStatus.FAILED
    ]
    assert failed
    assert all("finite" in record.reason for record in failed)


@pytest.mark.matrix
def test_a_plan_too_large_for_the_memory_fails_and_the_search_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate = Evaluator.evaluate

    def choking(self: Evaluator, plan: Plan) -> object:
        if plan.chosen("block"):
            raise torch.OutOfMemoryError("out of memory")
        return evaluate(self, plan)

    monkeypatch.setattr(Evaluator, "evaluate", choking)
    study = go(folder, sampler="budget", trials=12).study
    records = read_records(study.trials)
    assert any(record.status is TrialStatus.FAILED for record in records)
    # The sampler learns that it is the blocks, and goes on without them.
    whole = [r for r in records if r.plan and not r.plan.chosen("block")]
    assert (
        sum(record.status in (TrialStatus.EVALUATED, TrialStatus.EARLY_STOPPED) for record in whole)
        >= 2
    )


def test_a_network_that_cannot_be_rounded_takes_no_other_plans_turn(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate = Evaluator.evaluate

    def choking(self: Evaluator, plan: Plan) -> object:
        if set(plan.chosen("bits").values()) == {"w16a16"}:
            raise torch.OutOfMemoryError("out of memory")
        return evaluate(self, plan)

    monkeypatch.setattr(Evaluator, "evaluate", choking)
    bits = ["w32a32", "w16a16", "w8a8"]
    narrow = {"width": [1.0, 0.5], "block": [], "prune": [], "bits": bits}
    every = read_records(go(folder, trials=3, space=narrow, max_drop=[0, 30]).study.trials)
    assert any(record.status is TrialStatus.FAILED and record.is_free for record in every)
    assert sum(record.status is TrialStatus.EVALUATED for record in every) == 3
