"""The dashboard, over HTTP and in a browser: what it shows, and what nobody had to write for it."""

import json
import shutil
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import optuna_dashboard
import pytest
from paredown.objectives.accuracy.budget import Budget
from paredown.search.dashboard import dashboard_storage
from paredown.search.dashboard.server import make_dashboard
from paredown.search.export.artifacts import Artifacts
from paredown.search.formatting import points, short
from paredown.search.results.pareto import front
from paredown.search.results.summary import summarize
from paredown.search.study.storage import open_storage, open_study
from paredown.search.study.trial_record import read_records
from paredown.spaces.plan import Plan

from .conftest import TINY, run_all

Run = Callable[..., Any]
URL = "sqlite:///paredown.db"
PLAN = {"block": {"stage1": "separable"}, "bits": {"stage1": "w8a8", "stage2": "w8a8"}}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study that has ended, and an export of its last budget's winner."""
    folder = tmp_path_factory.mktemp("shown")
    (folder / "tiny.toml").write_text(TINY.format(sampler="random"))
    (folder / "plan.json").write_text(Plan.of(PLAN).to_json())
    run_all(
        folder,
        "search tiny.toml --start plan.json --max-drop 90 --trials 2",
        "export tiny --format safetensors --output there",
    )
    return folder


@pytest.fixture
def study(searched: Path, folder: Path) -> optuna.Study:
    """A copy of the study."""
    shutil.copy(searched / "paredown.db", folder / "paredown.db")
    shutil.copytree(searched / "paredown-artifacts", folder / "paredown-artifacts")
    return open_study(open_storage(URL), URL, "tiny")


@pytest.fixture
def address(study: optuna.Study) -> Iterator[str]:
    """Where the dashboard answers."""
    server = make_dashboard(open_storage(URL), URL, 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def asked(address: str, body: object = None, method: str = "GET") -> Any:
    """What the dashboard's API answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, method=method)
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=20) as came:
        entry = came.read()
    return json.loads(entry) if entry else None


def kept(study: optuna.Study) -> set[str]:
    """The names of a study's attributes that are the dashboard's."""
    attributes = study._storage.get_study_system_attrs(study._study_id)
    return {name for name in attributes if name.startswith("dashboard:")}


def test_a_search_writes_a_note_on_its_study_alone(study: optuna.Study) -> None:
    assert {name.split(":")[1] for name in kept(study)} == {"note_ver", "note_str"}
    note = optuna_dashboard.get_note(study)
    for text in ("Compression of resnet8 on digits", "90 pp", "1,077", "How to read"):
        assert text in note


def test_a_study_that_goes_on_has_the_users_own_note(study: optuna.Study, run: Run) -> None:
    optuna_dashboard.save_note(study, "# Mine")
    ran = run("search", "tiny.toml", "--max-drop", "90", "--trials", "2", "--json")
    assert ran.code == 0, ran.err
    assert optuna_dashboard.get_note(study) == "# Mine"


def test_a_study_is_shown_with_what_its_trials_say(study: optuna.Study, address: str) -> None:
    before = kept(study)
    shown = asked(f"{address}/api/studies/1?after=0")
    summary = summarize(study)
    winner = summary.results[0].winner
    assert winner is not None
    assert winner.cost is not None
    assert shown["objective_names"] == ["effective params", "effective FLOPs"]
    note = shown["note"]["body"]
    (row,) = (line for line in note.splitlines() if line.startswith("| 90 pp |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:4] == [str(winner.number), short(winner.cost.params), short(winner.cost.macs)]
    assert points(winner.drop) in cells
    assert {item["id"] for item in shown["plotly_graph_objects"]} == {"front", "progress"}
    for item in shown["plotly_graph_objects"]:
        assert json.loads(item["graph_object"])["data"]
    words = {item["key"]: item["value"] for item in shown["user_attrs"]}
    assert short(summary.baseline.cost.params) in words["baseline"]
    assert f"trial {winner.number}" in words["within 90 pp"]
    assert kept(study) == before, "showing writes nothing"


def test_trials_are_shown_in_words_and_readable_units(study: optuna.Study, address: str) -> None:
    trials = asked(f"{address}/api/studies/1?after=0")["trials"]
    for record, trial in zip(read_records(study.trials), trials, strict=True):
        note = trial["note"]["body"]
        attributes = {a["key"]: a["value"] for a in trial["user_attrs"]}
        assert record.plan is not None
        assert record.cost is not None
        assert all(f"- {text}" in note for text in record.plan.describe().split("; "))
        assert Plan.from_json(note.split("```json")[1].split("```")[0]) == record.plan
        assert f"{short(record.cost.params)} params" in attributes["cost"]
        assert float(attributes["params"]) == record.cost.params, "the raw figure is there as well"
        if record.drop is not None:
            assert f"**Drop {points(record.drop)} pp**" in note
            assert attributes["drop"] == f"{points(record.drop)} pp"
        assert not any(value.startswith("{") for value in attributes.values())
    winner = summarize(study).results[0].winner
    assert winner is not None
    assert "### Winner for 90 pp" in trials[winner.number]["note"]["body"]


def test_the_best_trials_keep_within_the_budget(study: optuna.Study, address: str) -> None:
    study.set_user_attr("budgets", [1.0, 5.0])
    best = [record.number for record in front(read_records(study.trials), Budget(5))]
    for after in (0, 2, 10**6):
        shown = asked(f"{address}/api/studies/1?after={after}")
        assert [item["number"] for item in shown["best_trials"]] == sorted(best)
        assert [item["number"] for item in shown["trials"]] == list(
            range(min(after, len(study.trials)), len(study.trials))
        )
    for query, code in (("1?after=-1", 400), ("1?after=x", 500), ("7", 404)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            asked(f"{address}/api/studies/{query}")
        refused.value.close()
        assert refused.value.code == code


def test_what_is_new_is_shown_and_what_the_user_wrote_stays(
    study: optuna.Study, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard_storage, "_EVERY_SECONDS", 0.0)
    shown = asked(f"{address}/api/studies/1?after=0")
    first = shown["trials"][0]
    mine = {"body": "mine", "version": first["note"]["version"] + 1}
    asked(f"{address}/api/studies/1/{first['trial_id']}/note", mine, "PUT")
    ours = {"body": "# Ours", "version": shown["note"]["version"] + 1}
    asked(f"{address}/api/studies/1/note", ours, "PUT")
    study.add_trial(study.trials[1])
    deadline = time.monotonic() + 10
    while len(asked(f"{address}/api/studies/1?after=0")["trials"]) == len(study.trials) - 1:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    shown = asked(f"{address}/api/studies/1?after=0")
    assert shown["trials"][0]["note"]["body"] == "mine"
    assert shown["note"]["body"] == "# Ours"
    assert shown["trials"][-1]["note"]["body"] == shown["trials"][1]["note"]["body"]


def test_pictures_that_cannot_be_drawn_are_left_out(
    study: optuna.Study, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("no picture today")

    monkeypatch.setattr(dashboard_storage, "dashboard_extras", broken)
    shown = asked(f"{address}/api/studies/1?after=0")
    assert "Compression of resnet8" in shown["note"]["body"]
    assert len(shown["trials"]) == len(study.trials)
    assert shown["plotly_graph_objects"] == []


def test_studies_of_others_are_shown_as_they_are(study: optuna.Study, address: str) -> None:
    other = optuna.create_study(study_name="other", storage=URL)
    other.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    optuna_dashboard.save_note(other, "not ours")
    shown = asked(f"{address}/api/studies/{other._study_id}?after=0")
    assert shown["note"]["body"] == "not ours"
    assert len(shown["best_trials"]) == 1
    assert len(asked(f"{address}/api/studies")["study_summaries"]) == 2


def test_exported_files_are_artifacts_of_the_winners_trial(
    searched: Path,
    study: optuna.Study,
    address: str,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dashboard_storage, "_EVERY_SECONDS", 0.0)

    def offered() -> dict[str, str]:
        shown = asked(f"{address}/api/studies/1?after=0")["trials"][number]
        return {item["filename"]: item["artifact_id"] for item in shown["artifacts"]}

    winner = summarize(study).results[0].winner
    assert winner is not None
    number, trial = winner.number, study.trials[winner.number]._trial_id
    files = offered()
    assert files.keys() == {path.name for path in (searched / "there").iterdir()}
    for name, artifact_id in files.items():
        with urllib.request.urlopen(f"{address}/artifacts/1/{trial}/{artifact_id}") as came:
            assert came.read() == (searched / "there" / name).read_bytes()
    again = run("export", "tiny", "--format", "safetensors", "--output", "again")
    assert again.code == 0, again.err
    assert files["model.safetensors"] == offered()["model.safetensors"]
    assert offered().keys() == files.keys()
    assert {path.name for path in Artifacts(URL).folder.iterdir()} == set(offered().values())
    (Artifacts(URL).folder / offered()["plan.json"]).unlink()
    study.set_user_attr("budgets", [89.0])  # something new, so that the page is made again
    assert "plan.json" not in offered()


def test_a_browser_shows_it_all(study: optuna.Study, address: str, browser: Any) -> None:
    winner = summarize(study).results[0].winner
    assert winner is not None

    def shows(*words: str) -> None:
        deadline = time.monotonic() + 20
        while missing := [word for word in words if word not in browser.run(TEXT)]:
            assert time.monotonic() < deadline, f"not shown: {missing}"
            time.sleep(0.2)

    browser.open(f"{address}/dashboard/studies/1", height=3200)
    shows("effective params", "effective FLOPs", "Pareto fronts of the budgets")
    shows("Progress of the search", "log-hypervolume", "within 90 pp", "Best Trial")
    assert browser.run(WIDTH) <= 1280
    browser.open(f"{address}/dashboard/studies/1", width=400, height=3200)
    shows("Pareto fronts of the budgets", "Progress of the search")
    assert browser.run(WIDTH) <= 400
    assert min(browser.run(PICTURES)) >= 200, "a telephone shows pictures one below the other"
    browser.open(f"{address}/dashboard/studies/1/note")
    shows("Compression of resnet8 on digits", "What the budgets buy", "How to read it")
    browser.open(f"{address}/dashboard/studies/1/trials?numbers={winner.number}", height=1800)
    shows("Winner for 90 pp", "ratio", "cost", "model.safetensors", "MODEL_CARD.md")
    assert browser.run(WIDTH) <= 1280
    assert browser.errors() == []


TEXT = "return document.body.textContent"
PICTURES = "return [...document.querySelectorAll('.js-plotly-plot')].map(one => one.clientWidth)"
WIDTH = "return document.documentElement.scrollWidth"
