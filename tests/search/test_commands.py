"""The commands as a newcomer types them: what they print, and what they end with."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from paredown import __version__
from paredown.spaces.models import MODELS, build_model
from PIL import Image
from safetensors.torch import save_file

Run = Callable[..., Any]

FIGURES = {
    "max_drop",
    "feasible",
    "plan",
    "params",
    "params_effective",
    "macs",
    "flops_effective",
    "bytes",
    "accuracy",
    "drop",
    "baseline_accuracy",
}


@pytest.fixture
def searched(run: Run) -> dict[str, Any]:
    """What `search --json` printed for the tiny study."""
    ran = run("search", "tiny.toml", "--json")
    assert ran.code == 0, ran.err
    answer: dict[str, Any] = json.loads(ran.out)
    return answer


def images_in(folder: Path, classes: int = 2, count: int = 12) -> Path:
    """A folder of class folders with small images."""
    for label in range(classes):
        where = folder / f"class{label}"
        where.mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (8, 8), (20 * number, 100 * label, 50)).save(where / f"{number}.png")
    return folder


def test_version_and_help(run: Run) -> None:
    assert run("--version").out.strip() == __version__
    for command in (
        "search",
        "best",
        "report",
        "ablate",
        "export",
        "evaluate",
        "count",
        "dashboard",
        "techniques",
        "models",
        "studies",
    ):
        assert run(command, "--help").code == 0
        assert command in run("--help").out


def test_search_prints_what_each_budget_buys_and_what_to_do_next(run: Run) -> None:
    ran = run("search", "tiny.toml")
    assert ran.code == 0, ran.err
    for text in ("baseline:", "sqlite:///paredown.db", "1 pp", "30 pp", "compression", "Next:"):
        assert text in ran.out
    assert "paredown dashboard tiny" in ran.out
    assert "paredown search tiny.toml --trials 8" in ran.out
    assert Path("paredown.db").exists()


def test_search_json_is_one_object_with_all_figures(searched: dict[str, Any]) -> None:
    assert [item["max_drop"] for item in searched["budgets"]] == [1.0, 30.0]
    for item in searched["budgets"]:
        assert item.keys() >= FIGURES
        if item["feasible"]:
            assert item["drop"] == pytest.approx(item["baseline_accuracy"] - item["accuracy"])
            assert item["drop"] <= item["max_drop"] + 1e-9
            assert item["params_effective"] < searched["baseline"]["params_effective"]


def test_winners_are_proven_on_the_test_split(searched: dict[str, Any], run: Run) -> None:
    won = [item for item in searched["budgets"] if item["feasible"]]
    assert won
    assert searched["test_looks"] == len({json.dumps(item["plan"]) for item in won})
    shown = run("best", "tiny").out
    for item in won:
        data = item["test"]
        assert data["drop"] == pytest.approx(100 * (data["lost"] - data["gained"]) / data["images"])
        assert data["drop"] == pytest.approx(item["test_drop"])
        assert data["low"] <= data["drop"] <= data["upper_bound"] <= data["high"]
        assert item["certainty"] == (
            "within"
            if data["upper_bound"] <= item["max_drop"]
            else "likely"
            if data["drop"] <= item["max_drop"]
            else "over"
        )
        assert f"{data['low']:+.2f} to {data['high']:+.2f}" in shown
        if item["certainty"] == "likely" and data["drop"] < item["max_drop"]:
            assert item["test_images_needed"] > data["images"]
    # A budget that nobody searched for may have a winner that the test split has not seen.
    (other,) = json.loads(run("best", "tiny", "--max-drop", "100", "--json").out)["budgets"]
    assert other["feasible"]
    assert (other["certainty"] is None) == (other["test_drop"] is None)


def test_best_says_the_same_and_answers_other_budgets(searched: dict[str, Any], run: Run) -> None:
    del searched["seconds"]  # which are those of a run
    assert json.loads(run("best", "tiny", "--json").out) == searched
    ran = run("best", "tiny", "--max-drop", "50", "--json")
    (item,) = json.loads(ran.out)["budgets"]
    assert item["max_drop"] == 50
    assert item["feasible"]
    assert "50 pp" in run("best", "tiny", "--max-drop", "50").out


def test_a_winning_plan_can_be_counted(searched: dict[str, Any], run: Run) -> None:
    winner = searched["budgets"][-1]
    Path("plan.json").write_text(json.dumps(winner["plan"]))
    ran = run("count", "resnet8", "--plan", "plan.json", "--size", "8", "--json")
    counted = json.loads(ran.out)
    # digits are grey: two of three input channels of the first convolution are gone
    assert 0 < counted["params"] - winner["params"] <= 2 * 9 * 16
    assert counted["compression"] > 1


def test_no_plan_within_the_budget_ends_with_3_and_says_what_to_relax(run: Run) -> None:
    Path("tiny.toml").write_text(
        Path("tiny.toml")
        .read_text()
        .replace('block = ["original", "separable"]', 'block = ["separable"]')
        .replace("width = [1.0, 0.5]", "width = [0.25]")
        .replace('bits = ["w32a32", "w8a8"]', "bits = []")
    )
    ran = run("search", "tiny.toml", "--max-drop", "0")
    assert ran.code == 3
    assert "the closest is trial" in ran.err
    assert "pp: paredown best tiny --max-drop" in ran.err
    assert "Traceback" not in ran.err
    ran = run("best", "tiny", "--json")
    assert ran.code == 3
    (item,) = json.loads(ran.out)["budgets"]
    assert item["feasible"] is False
    assert item["plan"] is None
    assert item["closest"]["drop"] > 0


def test_dry_run_shows_the_space_and_writes_nothing(run: Run, folder: Path) -> None:
    before = set(folder.iterdir())
    ran = run("search", "tiny.toml", "--dry-run")
    assert ran.code == 0
    for text in ("separable", "stage1", "plans", "cheapest", "middle", "dearest"):
        assert text in ran.out
    assert set(folder.iterdir()) == before
    shown = json.loads(run("search", "tiny.toml", "--dry-run", "--json").out)
    costs = [shown[name]["params_effective"] for name in ("cheapest", "middle", "dearest")]
    assert costs == sorted(costs)
    assert shown["plans"] > 1000


def test_dry_run_says_what_is_skipped_and_why(run: Run) -> None:
    ran = run(
        "search", "tiny.toml", "--model", "shufflenet_v2_x0_5", "--data", "digits", "--dry-run"
    )
    assert ran.code == 0, ran.err
    assert "Torch-Pruning does not support this network" in ran.out
    assert "already depthwise" in ran.out


def test_count_agrees_with_numel(run: Run) -> None:
    counted = json.loads(run("count", "resnet18", "--classes", "7", "--size", "64", "--json").out)
    network = build_model("resnet18", 7, 3)
    assert counted["params"] == sum(parameter.numel() for parameter in network.parameters())
    assert counted["flops"] == 2 * counted["macs"]
    assert "269,722" in run("count", "resnet20").out


@pytest.mark.parametrize(
    ("command", "said"),
    [("techniques", "separable"), ("models", "resnet56"), ("studies", "digits")],
)
def test_listings(command: str, said: str, run: Run) -> None:
    assert said in run(command).out
    rows = json.loads(run(command, "--json").out)["rows"]
    assert said in {row["name"] for row in rows}
    if command == "models":
        assert len(rows) == len(MODELS)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["search", "digit"], "did you mean digits?"),
        (["search", "nowhere/x.toml"], "no study file at nowhere/x.toml"),
        (["search", "--model", "resnet21"], "did you mean resnet"),
        (["search", "--data", "cifar11"], "did you mean cifar10"),
        (["search", "--data", "./nowhere"], "no such folder: nowhere"),
        (["search", "--sampler", "tpee"], "did you mean tpe?"),
        (["search", "--max-drop=-1"], "from 0 to 100 percentage points, got -1"),
        (["search", "--max-drop=nan"], "from 0 to 100 percentage points, got nan"),
        (["search", "--max-drop", "much"], "Invalid value for '--max-drop'"),
        (["search", "--trials", "0"], "trials:"),
        (["search", "--timeout", "soon"], "expected a duration"),
        (["search", "--seed=-1"], "seed:"),
        (["search", "--weights", "none.safetensors"], "no weights file at none.safetensors"),
        (["search", "--storage", "nosql://x"], "the storage nosql://x cannot be opened"),
        (["search", "--storage", "sqlite:////nowhere/x.db"], "no such folder /nowhere"),
        (["search", "tiny.toml", "--name", ""], "name:"),
        (["best", "digits"], "no such file paredown.db"),
        (["dashboard"], "no such file paredown.db"),
        (["count", "resnet21"], "did you mean resnet"),
        (["count", "resnet20", "--plan", "none.json"], "the plan none.json cannot be read"),
        (["count", "vgg11", "--size", "8"], "fails on 3x8x8 images"),
        (["serach"], "No such command 'serach'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_ends_with_2_and_one_clear_message(
    arguments: list[str], told: str, run: Run, folder: Path
) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    ran = run(*arguments)
    assert ran.code == 2, ran.err
    assert told in ran.err
    assert ran.out == ""
    assert "Traceback" not in ran.err
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_file_that_is_no_storage_is_not_written_over(run: Run, folder: Path) -> None:
    (folder / "notes.db").write_text("my notes, long enough to be no empty database file")
    ran = run("search", "tiny.toml", "--storage", "sqlite:///notes.db")
    assert ran.code == 2
    assert "cannot be opened" in ran.err
    assert (folder / "notes.db").read_text().startswith("my notes")


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        ("{", "the plan is not valid JSON"),
        ("[]", "expected a plan as a JSON object"),
        ('{"version": 9}', '"version": 1, got 9'),
        ('{"version": 1, "blok": {}}', "did you mean block?"),
        ('{"version": 1, "block": {"stage1": "separabel"}}', "did you mean separable?"),
        ('{"version": 1, "block": {"stage9": "separable"}}', "block.stage9: no such place"),
        ('{"version": 1, "width": {"stage1": 2}}', "expected a width above 0 and at most 1, got 2"),
    ],
)
def test_bad_plans_are_refused_by_name(plan: str, told: str, run: Run) -> None:
    Path("plan.json").write_text(plan)
    ran = run("count", "resnet20", "--plan", "plan.json")
    assert ran.code == 2
    assert told in ran.err


def test_image_folders_that_cannot_be_used(run: Run, folder: Path) -> None:
    (folder / "empty").mkdir()
    images_in(folder / "single", classes=1)
    images_in(folder / "broken")
    (folder / "broken" / "class1" / "3.png").write_bytes(b"no image")
    for name, got_text in (("empty", "empty"), ("single", "one class"), ("broken", "3.png")):
        ran = run("search", "tiny.toml", "--data", f"./{name}")
        assert ran.code == 2, ran.err
        assert got_text in ran.err
    assert not (folder / "paredown.db").exists()


def test_a_folder_of_images_is_searched(run: Run, folder: Path) -> None:
    images_in(folder / "flowers", count=15)
    ran = run("search", "tiny.toml", "--data", "flowers", "--max-drop", "90", "--trials", "2")
    assert ran.code in (0, 3), ran.err
    assert "baseline:" in ran.out


def test_weights_that_do_not_fit_say_which_keys(run: Run, folder: Path) -> None:
    state = build_model("resnet8", 10, 1).state_dict()
    del state["linear.bias"]
    state["conv1.weight"] = torch.zeros(16, 3, 3, 3)
    state["extra"] = torch.zeros(1)
    save_file(state, folder / "w.safetensors")
    ran = run("search", "tiny.toml", "--weights", "w.safetensors")
    assert ran.code == 2
    for text in ("linear.bias", "extra", "conv1.weight", "(16, 1, 3, 3)", "(16, 3, 3, 3)"):
        assert text in ran.err
    assert not (folder / "paredown.db").exists()


def test_pickled_models_are_refused(run: Run, folder: Path) -> None:
    (folder / "w.pth").write_bytes(pickle.dumps({"weights": Path("x")}))
    torch.save(build_model("resnet8", 10, 1), folder / "model.pth")
    for name in ("w.pth", "model.pth"):
        ran = run("search", "tiny.toml", "--weights", name)
        assert ran.code == 2, ran.err
        assert "Traceback" not in ran.err


def test_given_weights_are_the_baseline(run: Run, folder: Path) -> None:
    torch.manual_seed(0)
    save_file(build_model("resnet8", 10, 1).state_dict(), folder / "w.safetensors")
    ran = run(
        "search", "tiny.toml", "--weights", "w.safetensors", "--trials", "1", "--max-drop", "99"
    )
    assert ran.code in (0, 3)
    accuracy = float(ran.out.split("baseline: ")[1].split(" %")[0])
    assert accuracy < 40, "untrained weights guess"


def test_an_unknown_study_names_the_nearest(searched: dict[str, Any], run: Run) -> None:
    ran = run("best", "tinny")
    assert ran.code == 2
    assert "did you mean tiny?" in ran.err


def test_the_next_commands_are_ones_that_work(run: Run) -> None:
    place = ["--storage", "sqlite:///here.db"]
    ran = run("search", "tiny.toml", "--name", "my study", "--trials=2", "--max-drop", "99", *place)
    assert "paredown export 'my study' --storage sqlite:///here.db" in ran.out
    again = (
        "search tiny.toml --name 'my study' --max-drop 99 --storage sqlite:///here.db --trials 4"
    )
    assert f"paredown {again}" in ran.out
    assert run("best", "my study", *place, "--json").code == 0
    assert run("export", "my study", *place, "--format", "safetensors").code == 0


def test_sections_that_are_no_tables_are_told(run: Run, folder: Path) -> None:
    (folder / "odd.toml").write_text(
        'model = 5\ndata = 3\nmax_drop = "x"\nspace = 3\ntrain = 7\nbaseline = []\n'
    )
    ran = run("search", "odd.toml")
    assert ran.code == 2
    for key in ("model", "data", "max_drop", "space", "train", "baseline"):
        assert f"- {key}: " in ran.err
    assert "train: expected a table, got 7" in ran.err


@pytest.mark.parametrize("text", ["[" * 100_000, '{"version": 1' + "0" * 5000 + "}"])
def test_absurd_files_are_no_tracebacks(text: str, run: Run, folder: Path) -> None:
    (folder / "absurd.json").write_text(text)
    (folder / "absurd.toml").write_text(f"model = {text}")
    assert run("count", "resnet8", "--plan", "absurd.json").code == 2
    assert run("search", "absurd.toml").code == 2


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ('max_drop = [1, "a", -1]', ["got 'a'", "got -1"]),
        ("[fine_tune]\nbatch_size = 99999999999999999999", ["fine_tune.batch_size"]),
        ("[fine_tune]\nmax_lr = 1e40", ["fine_tune.max_lr"]),
        ('[data]\nsource = "digits"\nsize = 100000000000', ["data.size"]),
    ],
)
def test_absurd_numbers_are_told_by_their_keys(
    lines: str, told: list[str], run: Run, folder: Path
) -> None:
    key = lines.split("=")[0].strip() if lines.startswith("max_drop") else ""
    top = {"model": '"resnet8"', "data": '"digits"', "max_drop": "[1]"}
    if "[data]" in lines:
        del top["data"]
    top.pop(key, None)
    (folder / "odd.toml").write_text("".join(f"{k} = {v}\n" for k, v in top.items()) + lines)
    ran = run("search", "odd.toml")
    assert ran.code == 2, ran.err
    for words in told:
        assert words in ran.err
