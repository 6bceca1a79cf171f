"""A published network of the user's own, with shortcuts of slices and pads, as it is."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import onnxruntime
import paredown
import pytest
import torch
from paredown.objectives.data import DataRequest, load_data
from paredown.spaces.graph.tracing import example_images
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.tests.search.option_a import OptionA, resnet20
from paredown.tests.shared import shared, unpack_cifar

Run = Callable[..., Any]

STUDY = """
model = "option_a.py:resnet20"
weights = "{weights}"
data = "images"
max_drop = [60]
trials = 2
finalists = 0
seed = 1
granularity = "network"
# What is left are the blocks whose shortcuts are sliced and padded, and the ends.
keep = ["layer1*", "layer2.1*", "layer2.2*", "layer3.1*", "layer3.2*"]

[space]
block = ["original", "inverted"]
prune = [0.0, 0.25]
bits = ["w32a32", "w8a8"]

[train]
epochs = 1
max_lr = 0.01

[fine_tune]
epochs = 1
max_lr = 0.01
"""


def test_channels_behind_slices_and_pads_are_skipped() -> None:
    blueprint = trace_with_groups(resnet20(), example_images(3, 32))
    inner = {f"layer{stage}.{block}.conv1" for stage in (1, 2, 3) for block in range(3)}
    assert set(blueprint.groups) == inner
    assert [
        (skipped.name, skipped.reason)
        for skipped in blueprint.skipped
        if skipped.technique == "channels"
    ] == [("conv1", "a slice or pad in the forward pass ties it to other channels")]
    assert [block.name for block in blueprint.structure.blocks] == sorted(
        name.removesuffix(".conv1") for name in inner
    )


def test_it_is_searched_reported_and_exported_unchanged(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = shared("models/resnet20-cifar10jpeg.safetensors")
    shutil.copy(Path(__file__).with_name("option_a.py"), folder)
    unpack_cifar(folder / "images", train=30, test=40)
    (folder / "a.toml").write_text(STUDY.format(weights=weights))
    searched = run("search", "a.toml", "--json")
    assert searched.code == 0, searched.err
    data = json.loads(searched.out)
    assert data["baseline"]["params"] == 269_722
    (won,) = data["budgets"]
    assert won["feasible"]
    assert won["compression"] > 1
    reported = run("report", "a", "-o", "a.html")
    assert reported.code == 0, reported.err
    page = (folder / "a.html").read_text(encoding="utf-8")
    assert "layer2.0" in page, "layer by layer, its own names"
    exported = run("export", "a", "--format", "onnx,safetensors", "--json")
    assert exported.code == 0, exported.err
    manifest = json.loads(exported.out)
    # 88.58 % of all 10,000 images: on 400 of them the standard error is 1.6 points.
    assert manifest["accuracy"]["test"]["baseline"] == pytest.approx(88.58, abs=6)
    place = folder / "a-60pp"
    network = paredown.load(place, model=OptionA)
    splits = load_data(DataRequest("images"))
    pixels, _ = next(splits.test.batches(32))
    shown = splits.normalisation(pixels)
    session = onnxruntime.InferenceSession(place / "model.onnx")
    (scores,) = session.run(None, {session.get_inputs()[0].name: shown.numpy()})
    with torch.no_grad():
        ours = network(shown).numpy()
    assert numpy.mean(scores.argmax(1) == ours.argmax(1)) >= 0.95
