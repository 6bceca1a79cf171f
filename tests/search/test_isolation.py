"""The process that evaluates plans may crash, hang, starve or be killed: the search goes on."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from paredown.errors import ModelError, OutOfTime
from paredown.objectives.training import block_fitting, block_library
from paredown.objectives.training.cache import Cache
from paredown.objectives.training.progress import Progress
from paredown.search.isolation import process, starting
from paredown.search.isolation.backend import CannotRestart
from paredown.search.isolation.in_process import InProcessBackend
from paredown.search.runner.callbacks import Callback
from paredown.search.runner.run_study import Finished, search
from paredown.search.study.config import load_config
from paredown.search.study.trial_record import TrialRecord, TrialStatus, read_records
from paredown.spaces.plan import Plan
from paredown.tests.matrix import represented
from safetensors.torch import save_file

from .test_processes import COMMAND, URL, Start, records, start, wait_for

__all__ = ["start"]

STUDY = """
model = "crashing_models.py:{model}"
trained = true
data = "digits"
max_drop = [100]
trials = 3
finalists = 0
sampler = "random"
seed = 3
{more}

[space]
width = [1.0, 0.5]
block = ["original"]
prune = [0.0]
bits = ["w32a32", "w8a8"]

[train]
epochs = 1
batch_size = 64
"""


@pytest.fixture(autouse=True)
def _in_another_process(monkeypatch: pytest.MonkeyPatch, _quick_searches: None) -> None:
    monkeypatch.setattr(starting, "ProcessBackend", process.ProcessBackend)


@pytest.fixture
def models(folder: Path) -> Path:
    """A working folder with the models in it."""
    shutil.copy(Path(__file__).parent / "crashing_models.py", folder)
    return folder


def go(folder: Path, model: str, more: str = "", **options: object) -> Finished:
    (folder / f"{model}.toml").write_text(STUDY.format(model=model, more=more))
    return search(load_config(f"{model}.toml", options), URL, Cache(folder / "cache"), Callback())


def of(finished: Finished) -> list[TrialRecord]:
    return read_records(finished.study.trials)


CAUSES = {
    "segfault": "the evaluating process was killed by signal 11 (SIGSEGV) while training",
    "killed": (
        "the evaluating process was killed by signal 9 (SIGKILL), most likely out of memory, "
        "while training"
    ),
    "exits": "the evaluating process exited with code 7 while training",
    "fails": "ValueError: an image was odd",
    "starves": "can't allocate memory",
}


@pytest.mark.parametrize("model", represented(CAUSES, "segfault".__eq__))
def test_a_model_that_ends_its_process_fails_its_trials_and_not_the_search(
    model: str, models: Path
) -> None:
    finished = go(models, model)
    every = of(finished)
    failed = [record for record in every if record.status is TrialStatus.FAILED]
    assert failed
    for record in failed:
        assert CAUSES[model] in record.reason
        assert record.plan is not None
        assert record.plan.chosen("width"), "only what is trained crashes"
    assert len({record.plan for record in failed}) == len(failed), "no plan is tried twice"
    assert [record for record in every if record.is_scored], "the search went on"
    states = {trial.number: trial.state for trial in finished.study.trials}
    assert optuna.trial.TrialState.RUNNING not in states.values()
    crashed = finished.study.trials[failed[0].number].user_attrs
    if model == "segfault":
        assert "Fatal Python error: Segmentation fault" in crashed["details"]
        assert "crashing_models.py" in crashed["details"]
    if model == "fails":
        assert "an image was odd" in crashed["details"].splitlines()[-1]


@pytest.mark.matrix
def test_a_plan_that_failed_is_tried_again_only_when_that_is_asked(models: Path) -> None:
    first = {
        record.plan for record in of(go(models, "exits")) if record.status is TrialStatus.FAILED
    }
    again = of(go(models, "exits"))
    assert {record.plan for record in again if record.status is TrialStatus.FAILED} == first
    number = len(again)
    config = load_config("exits.toml", {})
    finished = search(config, URL, Cache(models / "cache"), Callback(), retry_failed=True)
    retried = of(finished)[number:]
    assert {record.plan for record in retried if record.status is TrialStatus.FAILED} == first


def test_what_hangs_is_ended_and_told(models: Path) -> None:
    every = of(go(models, "hangs", "stall = 2", trials=2))
    assert "made no progress for 2 s while training and was killed" in next(
        record.reason for record in every if record.status is TrialStatus.FAILED
    )


def test_the_time_limit_ends_a_plan_under_way_and_keeps_it_for_the_next_run(models: Path) -> None:
    go(models, "hangs", trials=1)  # which scores the baseline alone
    began = time.monotonic()
    finished = go(models, "hangs", "timeout = 20", trials=4)
    assert time.monotonic() - began < 100, "what hangs would do so for a thousand seconds"
    assert finished.out_of_time
    assert not finished.interrupted
    stopped = [record for record in of(finished) if record.status is TrialStatus.STOPPED]
    assert [record.reason for record in stopped] == ["the time limit was reached"]
    waiting = finished.study.get_trials(states=(optuna.trial.TrialState.WAITING,))
    params = [trial.system_attrs["fixed_params"] for trial in waiting]
    plan = stopped[0].plan
    assert plan is not None
    assert finished.summary.space.params(plan) in params


def test_a_time_limit_that_is_too_short_for_a_baseline_says_so(folder: Path) -> None:
    config = load_config("tiny.toml", {"timeout": 0.5})
    with pytest.raises(OutOfTime, match=r"limit of 0 s was reached before the (images|baseline)"):
        search(config, URL, Cache(folder / "cache"), Callback())


@pytest.mark.matrix
def test_prints_of_a_model_stay_out_of_the_json(models: Path) -> None:
    (models / "talks.toml").write_text(STUDY.format(model="talks", more=""))
    ran = subprocess.run(
        [*COMMAND, "search", "talks.toml", "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["study"] == "talks"
    assert "a line of the model's own" in ran.stderr


def test_errors_of_the_task_are_those_of_the_same_classes(folder: Path) -> None:
    (folder / "wrong.py").write_text("def make():\n    return 3\n")
    config = load_config("tiny.toml", {"model": "wrong.py:make"})
    with pytest.raises(ModelError, match=r"wrong\.py:make"):
        search(config, URL, Cache(folder / "cache"), Callback())
    assert not Path("paredown.db").exists(), "nothing was written"


def test_another_process_evaluates_as_this_one_does(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for effort in (
        "FIT_ISOLATED",
        "FIT_IN_NETWORK",
    ):  # conftest makes fits short, which no other process knows
        monkeypatch.setattr(block_library, effort, getattr(block_fitting, effort))
    shown = []
    for backend in (process.ProcessBackend, InProcessBackend):
        monkeypatch.setattr(starting, "ProcessBackend", backend)
        name = backend.__name__
        narrow = {"width": [1.0, 0.5], "block": [], "prune": [], "bits": ["w32a32", "w8a8"]}
        config = load_config("tiny.toml", {"name": name, "space": narrow, "trials": 3})
        finished = search(config, URL, Cache(folder / name), Callback())
        shown.append(
            [(r.number, r.status, r.plan, r.cost, r.accuracy, r.drop) for r in of(finished)]
        )
    assert shown[0] == shown[1]


def child_of(parent: int) -> int:
    """The evaluating process of a search."""
    for _ in range(300):
        for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            # There may be others, such as a browser's driver that an earlier test has started.
            if b"search.isolation.child" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
        time.sleep(0.1)
    pytest.fail("the search has no child")


def is_gone(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return True
    # Killed, and nobody has asked how it ended.
    return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def waits_until_gone(process_id: int) -> bool:
    for _ in range(100):
        if is_gone(process_id):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize(
    "how", represented([signal.SIGSEGV, signal.SIGKILL], signal.SIGKILL.__eq__)
)
def test_the_search_goes_on_when_its_child_is_killed(
    how: signal.Signals, folder: Path, start: Start
) -> None:
    running = start("search", "tiny.toml", "--trials", "4")
    wait_for(running, "1/4")
    os.kill(child_of(running.pid), how)
    _, err = running.communicate(timeout=120)
    assert running.returncode in (0, 3), err
    every = records()
    trained = [record for record in every if record.took_training]
    assert len(trained) == 4
    assert len({record.plan for record in trained}) == 4, "none was trained twice"
    assert not [record for record in every if record.status is TrialStatus.RUNNING]


@pytest.mark.matrix
def test_a_child_that_is_killed_while_the_baseline_trains_is_started_again(
    folder: Path, start: Start
) -> None:
    running = start("search", "tiny.toml", "--trials", "2")
    wait_for(running, "stored in")
    os.kill(child_of(running.pid), signal.SIGKILL)
    _, err = running.communicate(timeout=120)
    assert running.returncode in (0, 3), err
    assert sum(record.took_training for record in records()) == 2


def test_a_child_does_not_outlive_its_search(folder: Path, start: Start) -> None:
    running = start("search", "tiny.toml", "--trials", "30")
    wait_for(running, "1/30")
    child = child_of(running.pid)
    running.kill()
    running.wait()
    assert waits_until_gone(child)


@pytest.mark.matrix
def test_a_plan_that_two_runs_died_of_is_not_proposed_a_third_time(
    models: Path, start: Start
) -> None:
    (models / "hangs.toml").write_text(STUDY.format(model="hangs", more=""))

    def left_running(after: int) -> list[TrialRecord]:
        if "hangs" not in optuna.get_all_study_names(URL):
            return []
        every = read_records(optuna.load_study(study_name="hangs", storage=URL).trials)
        trained = [record for record in every if record.plan and record.plan.chosen("width")]
        return [
            record
            for record in trained
            if record.status is TrialStatus.RUNNING and record.number > after
        ]

    plans, last = list[Plan | None](), -1
    for _ in range(2):
        running = start("search", "hangs.toml")
        while not (results := left_running(last)):
            assert running.poll() is None, running.communicate()
            time.sleep(0.5)
        running.kill()
        running.wait()
        plans.append(results[0].plan)
        last = results[0].number
    assert plans[0] == plans[1], "what was left running comes first"
    go(models, "hangs", "stall = 1", trials=2)
    every = read_records(optuna.load_study(study_name="hangs", storage=URL).trials)
    (reported,) = [record for record in every if "two runs died" in record.reason]
    assert reported.status is TrialStatus.FAILED
    assert reported.plan == plans[0]
    assert [record.plan for record in every].count(plans[0]) == 2


SCRIPT = """
import paredown
import torch
from torch import nn
from torch.utils.data import TensorDataset

print("the script runs")


class Mine(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, padding=1)
        self.linear = nn.Linear(8, 4)

    def forward(self, x):
        return self.linear(torch.relu(self.conv(x)).mean((2, 3)))


class Images(torch.utils.data.Dataset):
    {images}
    def __len__(self):
        return 200

    def __getitem__(self, place):
        return torch.full((1, 8, 8), place % 4 / 4), place % 4


result = paredown.pare(
    Mine(), Images(), trials=1, finalists=0, max_drop=100, progress={progress},
    space={{"block": [], "prune": [], "width": [1.0], "bits": ["w32a32", "w8a8"]}},
)
print(len(result.trials()), "trials")
"""


def run_script(folder: Path, images: str = "", progress: bool = False) -> str:
    (folder / "script.py").write_text(SCRIPT.format(images=images, progress=progress))
    ran = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("the script runs") == 1, "it is not run again in the child"
    assert "2 trials" in ran.stdout
    return ran.stdout


@pytest.mark.matrix
def test_a_script_without_a_main_guard_gives_classes_of_its_own(folder: Path) -> None:
    assert "a crash would end the search" not in run_script(folder, progress=True)


def test_what_cannot_be_sent_is_evaluated_here_and_the_user_is_told(folder: Path) -> None:
    text = run_script(folder, 'lock = __import__("threading").Lock()', progress=True)
    assert "a crash would end the search" in text
    assert "cannot be sent to another process" in text


@pytest.mark.matrix
def test_what_another_process_cannot_load_is_evaluated_here(folder: Path) -> None:
    package = folder / "elsewhere"
    package.mkdir()
    (package / "mine.py").write_text(
        "from torch import nn\n"
        "class Mine(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.conv, self.linear = nn.Conv2d(1, 8, 3), nn.Linear(8, 4)\n"
        "    def forward(self, x):\n"
        "        return self.linear(self.conv(x).relu().mean((2, 3)))\n"
    )
    script = SCRIPT.format(images="", progress=True).replace("Mine()", "loaded.Mine()", 1)
    loading = (
        "import importlib.util, sys\n"
        "spec = importlib.util.spec_from_file_location('mine', 'elsewhere/mine.py')\n"
        "loaded = sys.modules['mine'] = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(loaded)\n"
    )
    (folder / "script.py").write_text(loading + script)
    ran = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "a crash would end the search" in ran.stdout
    assert "No module named 'mine'" in ran.stdout
    assert "2 trials" in ran.stdout


class Slow(Progress):
    """Takes longer over the first epoch than a plan may be silent."""

    def __init__(self) -> None:
        self.epochs = 0

    def epoch(self, done: int, loss: float) -> None:
        if not self.epochs:
            time.sleep(3)
        self.epochs += 1


def test_a_slow_callback_is_not_taken_for_a_stuck_plan(folder: Path) -> None:
    progress = Slow()
    spec = load_config("tiny.toml", {}).task_spec
    backend = process.ProcessBackend(spec, Cache(folder / "cache"), progress, 1, stall=2)
    with contextlib.closing(backend):
        backend.open()
        assert backend.baseline().accuracy > 0
    assert progress.epochs == 4


def test_a_new_process_with_another_baseline_evaluates_nothing(folder: Path) -> None:
    def weights(seed: int) -> None:
        task, _ = replace(load_config("tiny.toml", {}).task_spec, seed=seed).load()
        save_file(
            {n: t.contiguous() for n, t in task.build().state_dict().items()}, "w.safetensors"
        )

    weights(1)
    spec = load_config("tiny.toml", {"weights": "w.safetensors"}).task_spec
    backend = process.ProcessBackend(spec, Cache(folder / "cache"), Slow(), 1, stall=60)
    with contextlib.closing(backend):
        summary = backend.open()
        backend.baseline()
        plan = summary.space.without_training()
        assert backend.evaluate(plan).plan == plan
        os.kill(child_of(os.getpid()), signal.SIGKILL)
        time.sleep(0.5)
        weights(2)
        for _ in range(2):
            with pytest.raises(CannotRestart, match="has a different baseline"):
                backend.evaluate(plan)
