"""Searches with given weights: on images that these have not seen, and what is said of it."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from paredown.objectives.accuracy.confidence import CorrectCounts, UnpairedDifference
from paredown.objectives.data import SearchSource
from paredown.search.study.splits_record import Gap
from paredown.spaces.models import build_model
from safetensors.torch import save_file

Run = Callable[..., Any]

SETS = '''
import numpy as np


def part(seed, each, easy=True):
    """Four classes: which quadrant is bright. Or nothing to see, and labels by chance."""
    random, items = np.random.default_rng(seed), []
    for label in np.repeat(range(4), each):
        image = random.integers(0, 120, (8, 8), dtype=np.uint8)
        if easy:
            top, left = 4 * (label // 2), 4 * (label % 2)
            image[top : top + 4, left : left + 4] += 60
        items.append((image, label))
    return items


def make():
    return part(0, 40), part(1, 20)


def hard():
    return part(0, 40), part(1, 60, easy=False)


def hard_with_search():
    return part(0, 40), part(1, 60, easy=False), part(2, 40)


def few():
    return part(0, 40), part(1, 20)[:-19]


def whole():
    return {"train": part(0, 40), "test": part(1, 20), "val": part(2, 10)}
'''

STUDY = """
model = "resnet8"
data = {{ source = "sets.py:{function}", crop = 0, flip = false{more} }}
max_drop = [95]
trials = 1
finalists = 0
sampler = "random"

[space]
bits = ["w32a32", "w8a8"]

[baseline]
epochs = 6
max_lr = 0.1
batch_size = 32

[train]
epochs = 1
"""

WEIGHTS = ("--weights", "w.safetensors")


@pytest.fixture(autouse=True)
def _sets(folder: Path) -> Iterator[None]:
    (folder / "sets.py").write_text(SETS)
    torch.manual_seed(0)
    save_file(build_model("resnet8", 4, 1).state_dict(), folder / "w.safetensors")
    places = list(sys.path)
    yield
    sys.path[:] = places


@pytest.fixture
def ask(run: Run, folder: Path) -> Run:
    """ask("make", *words, search="train") -> `paredown search` over that function's images."""

    def call(function: str, *words: str, search: str | None = None) -> Any:
        more = f', search = "{search}"' if search else ""
        (folder / "mine.toml").write_text(STUDY.format(function=function, more=more))
        return run("search", "mine.toml", *words)

    return call


def study_of(folder: Path) -> optuna.Study:
    return optuna.load_study(study_name="mine", storage=f"sqlite:///{folder}/paredown.db")


def test_given_weights_are_searched_on_half_of_the_test_images(
    ask: Run, run: Run, folder: Path
) -> None:
    text = (
        "160 train, 40 search and 40 test images (halves of the test images, which the given "
        "weights have not seen)"
    )
    preview = ask("make", *WEIGHTS, "--dry-run")
    assert f"mine: resnet8 on sets.py:make, {text}" in preview.out
    images = json.loads(ask("make", *WEIGHTS, "--dry-run", "--json").out)["images"]
    assert images["search_from"] == "test"
    ran = ask("make", *WEIGHTS)
    assert ran.code == 0, ran.err
    assert f"mine: resnet8 on sets.py:make, {text}" in ran.out
    (folder / "sets.py").unlink()
    shown, results = run("best", "mine").out, json.loads(run("best", "mine", "--json").out)
    assert f"Images: {text}" in shown, "without the data"
    assert results["images"] == images
    assert images | {"text": text} == images
    (won,) = results["budgets"]
    assert won["test"]["images"] == 40
    gap = results["baseline_gap"]
    assert gap["search"] == results["baseline"]["accuracy"]
    assert gap["test"] == pytest.approx(won["test_accuracy"] + won["test_drop"])
    assert gap["difference"] == pytest.approx(gap["search"] - gap["test"])
    assert gap["low"] < gap["difference"] < gap["high"]
    assert not gap["stands_out"]
    assert "Note:" not in shown


def test_what_is_exported_is_scored_on_the_same_half_and_on_all_of_others(
    ask: Run, run: Run, folder: Path
) -> None:
    (won,) = json.loads(ask("make", *WEIGHTS, "--json").out)["budgets"]
    assert run("export", "mine", "--format", "safetensors", "--output", "small").code == 0
    scored = json.loads(run("evaluate", "small", "--data", "sets.py:make", "--json").out)
    assert scored["images"] == 40
    assert scored["accuracy"] == pytest.approx(won["test_accuracy"])
    for data, count in (("sets.py:hard", 240), ("sets.py:whole", 80)):
        other = json.loads(run("evaluate", "small", "--data", data, "--json").out)
        assert other["images"] == count, "images of another set are no halves"
    manifest = json.loads((folder / "small" / "manifest.json").read_text())
    for name in ("search_from", "test_fingerprint"):
        del manifest["data"][name]  # as 0.4.0 wrote it
    (folder / "small" / "manifest.json").write_text(json.dumps(manifest))
    scored = json.loads(run("evaluate", "small", "--data", "sets.py:make", "--json").out)
    assert scored["images"] == 80


@pytest.mark.parametrize(
    ("function", "words", "search", "said"),
    [
        ("make", (), None, "144 train, 16 search (from the training images) and 80 test images"),
        ("make", (), "test", "40 search and 40 test images (halves of the test images)"),
        (
            "make",
            WEIGHTS,
            "train",
            "16 search (from the training images, which the given weights may know) and 80 test",
        ),
        ("whole", WEIGHTS, None, "160 train, 40 search (a separate part) and 80 test images"),
    ],
)
def test_the_screen_says_which_images_are_which(
    function: str, words: tuple[str, ...], search: str | None, said: str, ask: Run
) -> None:
    ran = ask(function, *words, "--dry-run", search=search)
    assert ran.code == 0, ran.err
    assert said in ran.out


@pytest.mark.parametrize(
    ("function", "search", "told"),
    [
        ("few", None, "class '3' has 1. One half of them is the search split"),
        ("few", None, 'search = "train" in [data] uses training images instead'),
        ("whole", "train", "has its own search part; remove this key"),
        ("whole", "test", "has its own search part; remove this key"),
        ("make", "tests", "data.search: input should be 'train' or 'test', got 'tests'"),
    ],
)
def test_what_cannot_be_is_told_once(
    function: str, search: str | None, told: str, ask: Run
) -> None:
    ran = ask(function, *WEIGHTS, search=search)
    assert ran.code == 2
    assert told in ran.err
    assert ran.err.count("error:") == 1
    assert not Path("paredown.db").exists()


def as_if_made_by_0_4(study: optuna.Study) -> None:
    """What a study of 0.4.0 keeps: it had no choice of where search images come from."""
    storage, number = study._storage, study._study_id
    attrs = study.user_attrs
    identity, asked = json.loads(attrs["paredown"]), attrs["config"]
    del identity["search"], asked["data"]["search"]
    tested = {
        key: {name: item for name, item in data.items() if name != "baseline_right"}
        for key, data in attrs["test_scores"].items()
    }
    storage.set_study_user_attr(number, "paredown", json.dumps(identity))
    storage.set_study_user_attr(number, "config", asked)
    storage.set_study_user_attr(number, "test_scores", tested)
    storage.set_study_user_attr(number, "images", None)


def test_a_study_of_0_4_is_read_as_it_was_searched(ask: Run, run: Run, folder: Path) -> None:
    assert ask("make", *WEIGHTS, search="train").code == 0
    as_if_made_by_0_4(study_of(folder))
    before = json.loads(run("best", "mine", "--json").out)
    assert (before["images"], before["baseline_gap"]) == (None, None)
    exported = run("export", "mine", "--format", "safetensors", "--output", "small", "--json")
    assert exported.code == 0, exported.err
    accuracies = json.loads(exported.out)["accuracy"]
    assert (accuracies["search"]["images"], accuracies["test"]["images"]) == (16, 80)
    refused = ask("make", *WEIGHTS)
    assert refused.code == 2
    assert (
        "a different configuration: the search images are part of the training images there and "
        'half of the test images here. Set search = "train" in [data] to resume the study, or use '
        "another --name to start a new study"
    ) in refused.err
    went_on = ask("make", *WEIGHTS, "--json", search="train")
    assert went_on.code == 0, went_on.err
    results = json.loads(went_on.out)
    assert results["trials"] == before["trials"]
    assert results["images"]["search_from"] == "train"
    assert results["baseline_gap"]["test"] == pytest.approx(
        results["budgets"][0]["test_accuracy"] + results["budgets"][0]["test_drop"]
    )


def test_a_study_of_0_4_with_a_search_part_of_its_own_goes_on(
    ask: Run, run: Run, folder: Path
) -> None:
    assert ask("whole", *WEIGHTS).code == 0
    as_if_made_by_0_4(study_of(folder))
    exported = run("export", "mine", "--format", "safetensors", "--output", "small")
    assert exported.code == 0, exported.err
    assert ask("whole", *WEIGHTS).code == 0


def test_a_study_on_test_images_does_not_go_on_with_training_images(ask: Run) -> None:
    assert ask("make", *WEIGHTS).code == 0
    refused = ask("make", *WEIGHTS, search="train")
    assert refused.code == 2
    assert 'Set search = "test" in [data] to resume the study' in refused.err
    assert ask("make", *WEIGHTS, search="test").code == 0, "which is what it was by default"


@pytest.mark.parametrize("metric", [(), ("--balanced",)])
@pytest.mark.parametrize(
    ("function", "remedy"),
    [
        ("hard", 'start another study with search = "test" in [data]'),
        ("hard_with_search", "leave the search part out of the data"),
    ],
)
def test_search_images_that_are_far_easier_are_told_with_what_to_do(
    function: str, remedy: str, metric: tuple[str, ...], ask: Run, run: Run
) -> None:
    ran = ask(function, *metric)
    assert ran.code == 0, ran.err
    gap = json.loads(run("best", "mine", "--json").out)["baseline_gap"]
    assert gap["stands_out"]
    assert gap["low"] > 0
    assert gap["search"] > 80, "quadrants are easily learnt"
    assert gap["test"] < 50, "there is nothing to see in the test images"
    for shown in (ran.out, run("best", "mine").out):
        assert shown.count("Note:") == 1
        (line,) = [line for line in shown.splitlines() if "Note:" in line]
        assert f"{gap['search']:.2f} % on the search images" in line
        assert f"{gap['test']:.2f} % on the test images" in line
        assert remedy in line


def difference(search: tuple[int, int], test: tuple[int, int]) -> UnpairedDifference:
    return UnpairedDifference(CorrectCounts((search,)), CorrectCounts((test,)))


@pytest.mark.parametrize(
    ("found", "source", "stands_out"),
    [
        (difference((4805, 5000), (8858, 10000)), "train", True),
        (difference((4805, 5000), (8858, 10000)), "own", True),
        # The two halves of one set, drawn at random: that is chance.
        (difference((4805, 5000), (8858, 10000)), "test", False),
        (difference((4805, 5000), (8858, 10000)), "whole", False),
        (difference((4429, 5000), (8858, 10000)), "train", False),
        (difference((8858, 10000), (4805, 5000)), "train", False),
        # Far apart on few images, which may be chance; sure, but less than a point.
        (difference((19, 20), (89, 100)), "train", False),
        (difference((99_000, 100_000), (98_100, 100_000)), "train", False),
        (difference((99_000, 100_000), (97_900, 100_000)), "train", True),
    ],
)
def test_a_gap_stands_out_if_it_is_large_and_sure(
    found: UnpairedDifference, source: str, stands_out: bool
) -> None:
    gap = Gap(found, SearchSource(source))
    assert gap.stands_out == stands_out
    assert gap.to_dict()["stands_out"] == stands_out
