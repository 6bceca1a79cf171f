"""Studies, exported files and study files that 0.4.0 made: all of them can be used.

They are in studies_of_0_4/, with what 0.4.0 said of them. What is expected here comes from there.
"""

import contextlib
import json
import shutil
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import paredown
import pytest
import torch
from optuna.trial import TrialState
from paredown.objectives.cost.objective import OBJECTIVES
from paredown.objectives.data import DataRequest, load_data
from paredown.objectives.training.cache import Cache
from paredown.search.dashboard.server import make_dashboard
from paredown.search.study.config import load_config
from paredown.search.study.storage import open_storage
from paredown.search.study.trial_record import TrialRecord, count_trained, read_records
from safetensors.torch import load_file

from .conftest import Run
from .made_by_0_4 import (
    BASELINES,
    SAID,
    STUDIES,
    URL,
    assert_says,
    keep_baseline,
    renamed,
    unpack,
)
from .test_report import Page

SPLIT = DataRequest("digits")
OFF = 8 * 100 / 360
"""So many points may 8-bit networks of 0.4.0 be off, eight images: what could saturate on some
processors answers otherwise there in a file, and since 0.5 everywhere once it is loaded."""


@pytest.fixture(autouse=True)
def _own_objectives(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's objective lies in another folder for each test."""
    monkeypatch.setattr(OBJECTIVES, "_records", dict(OBJECTIVES._records))
    monkeypatch.setattr(OBJECTIVES, "_files", dict(OBJECTIVES._files))


@pytest.fixture(params=STUDIES)
def study(request: pytest.FixtureRequest, folder: Path) -> str:
    """The name of each study in turn; it lies in the working folder."""
    unpack(folder, request.param)
    return str(request.param)


@pytest.fixture
def finished(folder: Path) -> Path:
    """A working folder with the finished study."""
    unpack(folder, "finished")
    return folder


def read_study(name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=URL)


def records_of(name: str) -> list[TrialRecord]:
    return read_records(read_study(name).trials)


def cells(line: str) -> list[str]:
    """The cells of a table's row, which two spaces or more keep apart."""
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_ready_studies_have_the_names_they_had(run: Run) -> None:
    assert_says(json.loads(run("studies", "--json").out), renamed(SAID["studies"]))


def test_best_gives_the_same_winners(study: str, run: Run) -> None:
    ran = run("best", study, "--json")
    assert ran.code == 0, ran.err
    assert_says(json.loads(ran.out), renamed(SAID[study]["best"]))
    budgets = [data.partition("-")[2] for data in SAID[study] if data.startswith("best-")]
    assert len(budgets) >= 2
    for budget in budgets:
        ran = run("best", study, "--max-drop", budget, "--json")
        assert ran.code == 0, ran.err
        assert_says(json.loads(ran.out), renamed(SAID[study][f"best-{budget}"]))


def test_best_shows_the_same_figures(study: str, run: Run) -> None:
    ran = run("best", study)
    assert ran.code == 0, ran.err
    shown = [cells(line) for line in ran.out.splitlines()]
    table = [cells(line) for line in SAID[study]["best in words"][:6]]
    rows = [row for row in table if row and row[0].endswith((" pp", " %"))]
    assert len(rows) == 3, "the baseline and two budgets"
    for row in rows:
        assert row in shown


def test_the_report_has_the_same_figures(study: str, run: Run) -> None:
    ran = run("report", study)
    assert ran.code == 0, ran.err
    page = Page(Path(f"{study}-report.html").read_text(encoding="utf-8"))
    now = {f"{budget}": row for budget, row in page.cells.items()}
    assert_says(now, renamed(SAID[study]["report"]))


def test_the_report_shows_the_ablation_that_was_kept(finished: Path, run: Run) -> None:
    run("report", "finished")
    page = (finished / "finished-report.html").read_text(encoding="utf-8")
    for row in renamed(SAID["finished"]["ablate"])["rows"]:
        assert f"<td>{row['params_effective_ratio']:.2f}x</td>" in page
        assert row["description"] in page


@pytest.mark.parametrize(("name", "budget"), [("finished", "2"), ("own", "10")])
def test_an_ablation_that_was_kept_is_shown_at_once(
    folder: Path, run: Run, name: str, budget: str
) -> None:
    unpack(folder, name)
    ran = run("ablate", name, "--max-drop", budget, "--json")
    assert ran.code == 0, ran.err
    assert "retrained" not in ran.err
    assert_says(json.loads(ran.out), renamed(SAID[name]["ablate"]))


@pytest.mark.matrix
def test_an_ablation_of_another_winner_is_kept_beside_it(finished: Path, run: Run) -> None:
    keep_baseline("finished")
    ran = run("ablate", "finished", "--max-drop", "20", "--epochs", "1", "--json")
    assert ran.code == 0, ran.err
    assert {row["technique"] for row in json.loads(ran.out)["rows"]} >= {"width", "prune", "bits"}
    remaining = run("ablate", "finished", "--max-drop", "2", "--json")
    assert_says(json.loads(remaining.out), renamed(SAID["finished"]["ablate"]))


@pytest.mark.matrix
def test_the_winner_is_exported_again_over_the_folder(finished: Path, run: Run) -> None:
    keep_baseline("finished")
    where = ("--output", "finished-2pp", "--format", "onnx,safetensors", "--json")
    before = json.loads((finished / "finished-2pp/manifest.json").read_text())
    ran = run("export", "finished", "--max-drop", "20", *where)
    assert ran.code == 2, "another plan, and not without --force"
    ran = run("export", "finished", "--max-drop", "2", *where)
    assert ran.code == 0, ran.err
    now = json.loads(ran.out)
    for key in ("model", "classes", "size", "plan", "cost", "baseline_cost"):
        assert_says(now[key], renamed(before[key]), key)
    assert not (finished / "finished-2pp/model.pt2").exists()
    assert paredown.load("finished-2pp")(torch.zeros(1, 1, 8, 8)).shape == (1, 10)


@pytest.mark.matrix
def test_a_winner_of_an_own_model_is_exported(folder: Path, run: Run) -> None:
    unpack(folder, "own")
    keep_baseline("own")
    ran = run("export", "own", "--format", "safetensors", "--output", "there", "--json")
    assert ran.code == 0, ran.err
    assert_says(json.loads(ran.out)["plan"], renamed(SAID["own"]["best-2"]["budgets"][0]["plan"]))


def test_an_exported_folder_is_loaded(finished: Path) -> None:
    images = load_data(SPLIT).test
    network = paredown.load("finished-2pp")
    assert not network.training
    manifest = json.loads((finished / "finished-2pp/manifest.json").read_text())
    mean, std = (torch.tensor(manifest["normalisation"][key]) for key in ("mean", "std"))
    pixels, labels = next(images.batches(len(images)))
    with torch.no_grad():
        answers = network((pixels / 255 - mean[:, None, None]) / std[:, None, None]).argmax(1)
    accuracy = 100 * (answers == labels).double().mean().item()
    assert accuracy == pytest.approx(SAID["finished"]["evaluate-safetensors"]["accuracy"], abs=OFF)


EXPORTED = ("finished.onnx", "finished.pt2", "finished.safetensors", "own.safetensors")


@pytest.mark.matrix
@pytest.mark.parametrize("file", EXPORTED)
def test_exported_files_are_evaluated(folder: Path, run: Run, file: str) -> None:
    name, _, technique = file.partition(".")
    unpack(folder, name)
    own = ("--model", "nets.py:make") if name == "own" else ()
    ran = run("evaluate", f"{name}-2pp/model.{technique}", "--data", "digits", *own, "--json")
    assert ran.code == 0, ran.err
    data, now = dict(SAID[name][f"evaluate-{technique}"]), json.loads(ran.out)
    accuracy = data.pop("accuracy")
    assert_says(now, renamed(data))
    assert now["accuracy"] == pytest.approx(accuracy, abs=OFF)


def test_a_plan_of_an_exported_folder_is_counted(finished: Path, run: Run) -> None:
    ran = run("count", "resnet8", "--size", "8", "--plan", "finished-2pp/plan.json", "--json")
    assert ran.code == 0, ran.err
    assert_says(json.loads(ran.out), renamed(SAID["finished"]["count"]))


@contextlib.contextmanager
def dashboard() -> Iterator[str]:
    """Where the dashboard of the working folder's studies answers."""
    server = make_dashboard(open_storage(URL), URL, 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def asked(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=20) as came:
        return json.loads(came.read())


def test_the_dashboard_shows_a_study(study: str) -> None:
    with dashboard() as address:
        shown = asked(f"{address}/api/studies/1?after=0")
    assert len(shown["trials"]) == len(read_study(study).trials)
    for picture in shown["plotly_graph_objects"]:
        assert json.loads(picture["graph_object"])["data"]
    assert {item["id"] for item in shown["plotly_graph_objects"]} == {"front", "progress"}
    words = {item["key"]: item["value"] for item in shown["user_attrs"]}
    for budget in SAID[study]["best"]["budgets"]:
        assert f"trial {budget['trial']}" in words[f"within {budget['max_drop']:g} pp"]


def test_the_dashboard_offers_the_exported_files(finished: Path) -> None:
    (stored,) = read_study("finished").user_attrs["exports"].values()
    store = finished / "paredown-artifacts"
    store.mkdir()
    for name, artifact in stored["files"].items():
        shutil.copy(finished / "finished-2pp" / name, store / artifact)
    with dashboard() as address:
        first = asked(f"{address}/api/studies/1?after=0")["trials"][0]
    assert {item["filename"] for item in first["artifacts"]} == set(stored["files"])


def test_a_finished_search_says_what_it_said(finished: Path, run: Run) -> None:
    keep_baseline("finished")
    before = len(read_study("finished").trials)
    ran = run("search", "finished.toml", "--json")
    assert ran.code == 0, ran.err
    assert len(read_study("finished").trials) == before
    data = dict(SAID["finished"]["search"])
    data.pop("seconds")
    assert_says(json.loads(ran.out), renamed(data))


def test_a_finished_search_goes_on(finished: Path, run: Run) -> None:
    keep_baseline("finished")
    before = records_of("finished")
    ran = run("search", "finished.toml", "--trials", "7", "--json")
    assert ran.code == 0, ran.err
    records = records_of("finished")
    assert records[: len(before)] == before
    assert count_trained(records) == 7


def test_a_search_goes_on_whose_process_was_killed(folder: Path, run: Run) -> None:
    unpack(folder, "killed")
    (dead,) = (t for t in read_study("killed").trials if t.state == TrialState.RUNNING)
    before = records_of("killed")
    ran = run("search", "killed.toml", "--json")
    assert ran.code == 0, ran.err
    trials, records = read_study("killed").trials, records_of("killed")
    assert trials[dead.number].state == TrialState.FAIL
    assert records[dead.number].reason == "its process is gone"
    again = [
        record for record in records[dead.number + 1 :] if record.plan == records[dead.number].plan
    ]
    assert len(again) == 1
    assert again[0].is_scored
    assert [record for record in records if record.number < dead.number] == before[: dead.number]
    assert count_trained(records) == 4
    assert not [trial for trial in trials if trial.state == TrialState.RUNNING]


@pytest.mark.matrix
def test_a_search_goes_on_that_was_interrupted(folder: Path, run: Run) -> None:
    unpack(folder, "interrupted")
    (waiting,) = (t for t in read_study("interrupted").trials if t.state == TrialState.WAITING)
    before = records_of("interrupted")
    ran = run("search", "interrupted.toml", "--json")
    assert ran.code == 0, ran.err
    trials, records = read_study("interrupted").trials, records_of("interrupted")
    assert records[: waiting.number] == before
    assert records[waiting.number].plan == records[waiting.number - 1].plan
    assert records[waiting.number].is_scored
    assert count_trained(records) == 4
    assert not [t for t in trials if t.state in (TrialState.RUNNING, TrialState.WAITING)]


@pytest.mark.matrix
def test_a_search_goes_on_with_an_own_model_and_objective(folder: Path, run: Run) -> None:
    unpack(folder, "own")
    keep_baseline("own")
    before = records_of("own")
    ran = run("search", "own.toml", "--trials", "15", "--json")
    assert ran.code == 0, ran.err
    records = records_of("own")
    assert records[: len(before)] == before
    assert count_trained(records) == 15
    assert all(len(trial.values) == 2 for trial in read_study("own").trials if trial.values)


@pytest.mark.matrix
@pytest.mark.parametrize("name", STUDIES)
def test_a_study_file_can_be_tried_out(folder: Path, run: Run, name: str) -> None:
    unpack(folder, name)
    ran = run("search", f"{name}.toml", "--dry-run", "--json")
    assert ran.code == 0, ran.err


def test_a_baseline_that_comes_out_otherwise_is_refused(
    finished: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on another machine: the drops of the study are measured from the one that it knows."""
    monkeypatch.setenv("PAREDOWN_CACHE", str(finished / "cache"))
    task, _ = load_config("finished.toml", {}).task_spec.load()
    weights = load_file(f"cache/networks/{BASELINES['finished']}.safetensors")
    weights["conv1.weight"] += 0.01
    Cache().put(task.baseline_key, weights)
    before = records_of("finished")
    ran = run("search", "finished.toml")
    assert ran.code == 2
    assert "has a different baseline" in ran.err
    assert '"paredown": "0.4.0"' in ran.err
    assert records_of("finished") == before
