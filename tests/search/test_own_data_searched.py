"""Images of the user's own through the command, in plain and in balanced accuracy."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

SETS = '''
import numpy as np


def make():
    """Four classes, the first far larger: which quadrant is bright."""
    parts = []
    for seed, counts in ((0, (90, 30, 20, 20)), (1, (40, 12, 8, 8))):
        random, part = np.random.default_rng(seed), []
        for label in np.repeat(range(4), counts):
            image = random.integers(0, 120, (8, 8), dtype=np.uint8)
            top, left = 4 * (label // 2), 4 * (label % 2)
            image[top : top + 4, left : left + 4] += 60
            part.append((image, label))
        parts.append(part)
    return parts


def fails():
    raise OSError("the disk is gone")


def stream():
    return iter(range(3)), iter(range(3))
'''

STUDY = """
model = "resnet8"
data = "sets.py:make"
max_drop = [80]
trials = 1
finalists = 0
sampler = "random"

[space]
bits = ["w32a32", "w8a8"]

[baseline]
epochs = 6
max_lr = 0.1
batch_size = 32
"""


@pytest.fixture(autouse=True)
def _sets(folder: Path) -> Iterator[None]:
    (folder / "sets.py").write_text(SETS)
    (folder / "mine.toml").write_text(STUDY)
    places = list(sys.path)
    yield
    sys.path[:] = places


def test_a_functions_images_are_searched_in_balanced_accuracy(run: Run, folder: Path) -> None:
    ran = run("search", "mine.toml", "--balanced", "--json")
    assert ran.code == 0, ran.err
    assert (
        "resnet8 on sets.py:make, 144 train, 16 search (from the training images) and 68 test"
        in ran.err
    )
    results = json.loads(ran.out)
    assert results["metric"] == "balanced accuracy"
    (won,) = results["budgets"]
    tested = won["test"]
    # 40, 12, 8 and 8 test images: the drop is the mean of the classes' drops.
    assert [images for images, _, _ in tested["classes"]] == [40, 12, 8, 8]
    drops = [100 * (lost - gained) / images for images, lost, gained in tested["classes"]]
    assert tested["drop"] == pytest.approx(sum(drops) / 4)
    assert tested["low"] <= tested["drop"] <= tested["upper_bound"] <= tested["high"]
    shown = run("best", "mine").out
    assert "Balanced accuracy: the mean recall over classes" in shown
    other = run("search", "mine.toml")
    assert other.code == 2
    assert "metric is balanced accuracy there and accuracy here" in other.err
    export = ("export", "mine", "--format", "safetensors", "--output", "small", "--json")
    data = json.loads(run(*export).out)
    assert data["metric"] == "balanced accuracy"
    assert (
        "In percent of balanced accuracy, the mean" in (folder / "small/MODEL_CARD.md").read_text()
    )
    assert data["accuracy"]["test"]["accuracy"] == pytest.approx(won["test_accuracy"])
    scored = run("evaluate", "small", "--data", "sets.py:make")
    assert f"{won['test_accuracy']:.2f} % balanced accuracy over 68 images" in scored.out


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("sets.py:mak", "sets.py has no 'mak'; did you mean make?"),
        ("sets.py:fails", "sets.py, line 20: raise OSError"),
        ("sets.py:stream", "has no length; expected a data set with __len__"),
        ("sets.py", "expected package.module:function or path/to/file.py:function"),
    ],
)
def test_what_cannot_be_used_is_told_once_and_plainly(name: str, told: str, run: Run) -> None:
    ran = run("search", "mine.toml", "--data", name)
    assert ran.code == 2, ran.err
    assert told in ran.err
    assert ran.err.count("error:") == 1
    assert ran.out == ""
    assert "Traceback" not in ran.err
    assert not Path("paredown.db").exists()


def test_a_study_file_finds_the_function_beside_it(run: Run, folder: Path) -> None:
    (folder / "inner").mkdir()
    for name in ("sets.py", "mine.toml"):
        (folder / name).rename(folder / "inner" / name)
    ran = run("search", "inner/mine.toml", "--dry-run", "--json")
    assert ran.code == 0, ran.err
    study = folder / "inner" / "mine.toml"
    study.write_text(study.read_text().replace('"sets.py:make"', '{source = "sets.py:make"}'))
    assert run("search", "inner/mine.toml", "--dry-run").code == 0
