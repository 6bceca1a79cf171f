"""Plans that a user names: counted, tried first, and refused in words where they do not fit."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from paredown.errors import PlanError, StudyFileError
from paredown.objectives.training.cache import Cache
from paredown.search.runner.callbacks import Callback
from paredown.search.runner.run_study import prepare, search
from paredown.search.study.config import load_config
from paredown.search.study.config_file import ready_studies
from paredown.search.study.start_plans import read_plan, start_plan
from paredown.search.study.trial_record import read_records
from paredown.spaces.approaches import approaches
from paredown.spaces.graph.input_sizes import analyse
from paredown.spaces.graph.tracing import example_images
from paredown.spaces.models import MODELS, Model, build_model
from paredown.spaces.plan import Plan
from paredown.spaces.space import Space
from torch import nn

Run = Callable[..., Any]


class Attending(nn.Module):
    """A convolution, then pixels that attend to each other by bare matrix products."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 8, 3, padding=1)
        self.linear = nn.Linear(8, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pixels = self.conv(x).flatten(2)
        attention = torch.softmax(pixels.transpose(1, 2) @ pixels, -1)
        out: torch.Tensor = self.linear((pixels @ attention).mean(2))
        return out


@pytest.fixture
def attending() -> Iterator[str]:
    MODELS.register(Model("attending", "for a test", Attending, None))
    yield "attending"
    del MODELS._records["attending"]


def write(path: Path, plan: Plan) -> Path:
    path.write_text(plan.to_json())
    return path


def test_an_approach_is_counted(run: Run) -> None:
    ran = run("count", "vgg19", "--approach", "8", "--classes", "100", "--size", "32", "--json")
    counted = json.loads(ran.out)
    assert (counted["params"], counted["model"]) == (197_604, "vgg19-cifar")
    assert (counted["approach"], counted["uncounted"]) == (8, [])
    assert Plan.from_dict(counted["plan"]) == approaches("vgg19")[7].plan
    assert counted["baseline"]["params"] == 39_327_652
    assert "approach 8" in run("count", "vgg19", "--approach", "8").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["resnet101", "--approach", "16"], "resnet101 has approaches 1 to 15, got 16"),
        (["resnet20", "--approach", "3"], "there is none for resnet20"),
        (["resnet101", "--approach", "3", "--plan", "p.json"], "expected --plan or --approach"),
        (["resnet8", "--plan", "p.json"], "block.layer1.0.conv3: no such place; did you mean"),
        (["resnet8", "--plan", "ill.json"], "block.stem: inverted is not among original"),
    ],
)
def test_what_cannot_be_counted_ends_with_2(arguments: list[str], said: str, run: Run) -> None:
    write(Path("p.json"), Plan.of({"block": {"layer1.0.conv3": "ghost"}}))
    write(Path("ill.json"), Plan.of({"block": {"stem": "inverted", "stage1": "ghost"}}))
    ran = run("count", *arguments)
    assert ran.code == 2
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_a_plan_may_name_sites_and_stages(run: Run) -> None:
    sites, stages = {"layer1.0.conv2": "ghost"}, {"stage2": "inverted"}
    write(Path("p.json"), Plan.of({"block": sites | stages}))
    both = json.loads(run("count", "resnet8", "--plan", "p.json", "--json").out)["params"]
    write(Path("p.json"), Plan.of({"block": sites}))
    item = json.loads(run("count", "resnet8", "--plan", "p.json", "--json").out)["params"]
    baseline = json.loads(run("count", "resnet8", "--json").out)["params"]
    # Half of the filters of a 16x16 convolution, and 8 depthwise ones.
    assert baseline - item == 16 * 8 * 9 - 8 * 9
    assert both < item


def test_what_no_count_has_is_named(attending: str, run: Run) -> None:
    assert "not counted: bmm in the network itself" in run("count", attending, "--size", "8").out
    counted = json.loads(run("count", attending, "--size", "8", "--json").out)
    assert counted["uncounted"] == ["bmm in the network itself"]
    ran = run("search", "tiny.toml", "--model", attending, "--dry-run", "--json")
    skipped = json.loads(ran.out)["skipped"]
    assert {"technique": "counts", "place": "the network"}.items() <= skipped[0].items()


def test_start_plans_are_tried_first_and_once(folder: Path) -> None:
    mine = Plan.of({"width": {"stage2": 0.5}, "block": {"stage1": "separable"}})
    write(folder / "mine.json", mine)
    for trials in (1, 2):
        config = load_config("tiny.toml", {"start": ["mine.json"], "trials": trials})
        cache = Cache(folder / "cache")
        study = search(config, "sqlite:///paredown.db", cache, Callback()).study
    records = read_records(study.trials)
    assert records[0].plan == mine
    assert [record.plan for record in records].count(mine) == 1


def test_a_start_plan_that_does_not_fit_is_refused_before_anything_is_written(
    folder: Path, run: Run
) -> None:
    write(folder / "mine.json", Plan.of({"width": {"stage2": 0.75}, "prune": {"stage7": 0.5}}))
    ran = run("search", "tiny.toml", "--start", "mine.json")
    assert ran.code == 2
    assert "width.stage2: 0.75 is not among 1.0, 0.5" in ran.err
    assert "prune.stage7: no such place" in ran.err
    assert not (folder / "paredown.db").exists()


def test_faults_of_starts_are_told_with_all_others(folder: Path) -> None:
    text = (folder / "tiny.toml").read_text()
    path = folder / "bad.toml"
    path.write_text('start = ["approach:3", "nowhere.json"]\nper = "layer"\n' + text)
    with pytest.raises(StudyFileError) as caught:
        load_config(str(path), {})
    assert "start: approaches are plans for resnet101-cifar" in str(caught.value)
    assert "granularity: expected network, stage or site, got 'layer'" in str(caught.value)


@pytest.mark.parametrize("text", ["approach", "approach:", "approach:-1", "approach:x", "13"])
def test_start_plans_are_spelled_in_one_of_two_ways(text: str) -> None:
    with pytest.raises(PlanError, match="expected approach:NUMBER"):
        start_plan(text, "resnet101-cifar")


def test_start_plans_come_from_files_and_approaches(tmp_path: Path) -> None:
    mine = Plan.of({"bits": {"head": "w8a8"}})
    path = write(tmp_path / "mine.json", mine)
    assert start_plan(str(path), "resnet8") == mine == read_plan(path)
    assert start_plan("approach:13", "resnet101-cifar") == approaches("resnet101")[12].plan
    with pytest.raises(PlanError, match="is a plan for resnet101-cifar, not for resnet101"):
        start_plan("approach:13", "resnet101")
    with pytest.raises(PlanError, match="cannot be read"):
        start_plan(str(tmp_path / "none.json"), "resnet8")


def test_a_file_s_plans_are_looked_for_beside_it(folder: Path) -> None:
    (folder / "sub").mkdir()
    mine = Plan.of({"bits": {"head": "w8a8"}})
    write(folder / "sub" / "mine.json", mine)
    text = (folder / "tiny.toml").read_text()
    (folder / "sub" / "here.toml").write_text('start = ["mine.json"]\n' + text)
    assert load_config("sub/here.toml", {}).start_plans == (mine,)


def test_blocks_are_chosen_per_site_where_the_study_says_so(folder: Path) -> None:
    _, space = prepare(load_config("tiny.toml", {"granularity": "site"}))
    blocks = [d.place for d in space.dimensions if d.technique == "block"]
    assert blocks[:3] == ["conv1", "layer1.0.conv1", "layer1.0.conv2"]
    assert {d.place for d in space.dimensions if d.technique == "width"} <= set(
        space.blueprint.stages
    )


@pytest.mark.parametrize("study", [name for name in ready_studies() if "-cifar" in name])
def test_ready_studies_hold_every_approach_of_their_model(study: str) -> None:
    config = load_config(study, {})
    with torch.device("meta"):
        network = build_model(config.model, 10, 3)
    space = Space.of(analyse(network, example_images(3, 32)), config.space)
    held = {(d.technique, d.place): d.options for d in space.dimensions}
    for approach in approaches(config.model):
        for choice in approach.plan.choices:
            if choice.technique != "trunk":  # which needs channel groups
                assert choice.value in held[choice.technique, choice.place], (
                    approach.number,
                    choice,
                )
    assert set(config.start_plans) <= {approach.plan for approach in approaches(config.model)}
