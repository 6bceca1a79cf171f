"""Searches that other libraries take part in, or cannot."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from paredown.objectives.training.cache import Cache
from paredown.search.runner.callbacks import Callback
from paredown.search.runner.run_study import search
from paredown.search.study.config import load_config
from paredown.search.study.trial_record import TrialStatus, read_records

URL = "sqlite:///paredown.db"
Run = Callable[..., Any]

needs_nni = pytest.mark.skipif(
    importlib.util.find_spec("nni") is None, reason="NNI is an extra: pip install 'paredown[nni]'"
)

BOTH = """
model = "resnet8"
data = "digits"
max_drop = [50]
trials = {trials}
granularity = {{prune = "network"}}
start = {start}

[space]
depth = [1.0]
width = [1.0]
block = ["original"]
prune = [0.5]
criterion = ["l1", "nni-l1", "nni-taylor"]
quantizer = ["ptq", "qat", "nni-lsq"]
bits = ["w8a8"]

[baseline]
epochs = 2
max_lr = 0.1

[fine_tune]
epochs = 1
max_lr = 0.02

[quantize]
epochs = 1
max_lr = 0.002
"""
STAGES = ("stage1", "stage2", "stage3")


@needs_nni
def test_one_study_holds_both_backends(folder: Path) -> None:
    wanted = [("l1", "nni-lsq"), ("nni-l1", "qat"), ("nni-taylor", "ptq")]
    for criterion, quantizer in wanted:
        plan = {
            "version": 1,
            "prune": dict.fromkeys(STAGES, 0.5),
            "criterion": {"network": criterion},
            "bits": dict.fromkeys(("stem", *STAGES, "head"), "w8a8"),
            "quantizer": {"network": quantizer},
        }
        (folder / f"{criterion}.json").write_text(json.dumps(plan))
    start = json.dumps([f"{criterion}.json" for criterion, _ in wanted])
    (folder / "both.toml").write_text(BOTH.format(trials=len(wanted), start=start))
    study = search(load_config("both.toml", {}), URL, Cache(folder / "cache"), Callback()).study
    records = read_records(study.trials)
    assert not [record.reason for record in records if record.status is TrialStatus.FAILED]
    evaluated = [
        r.plan for r in records if r.plan is not None and r.status is TrialStatus.EVALUATED
    ]
    chosen = [
        (plan.chosen("criterion").get("network"), plan.chosen("quantizer").get("network"))
        for plan in evaluated
    ]
    assert chosen == [(None, "nni-lsq"), ("nni-l1", "qat"), ("nni-taylor", None)]


def test_without_nni_one_sentence_says_how_to_get_it(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = importlib.util.find_spec
    hidden = {"nni": None}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: hidden.get(name, results(name, *rest))
    )
    (folder / "both.toml").write_text(BOTH.format(trials=2, start="[]"))
    ran = run("search", "both.toml")
    assert ran.code == 2
    assert ran.err.strip() == (
        "error: criterion nni-l1 needs nni, which is not installed; run pip install 'paredown[nni]'"
    )
    assert not list(folder.glob("*.db"))


def test_what_torch_pruning_cannot_follow_is_searched_without_pruning(
    folder: Path, run: Run
) -> None:
    text = (folder / "tiny.toml").read_text().replace('"resnet8"', '"shufflenet_v2_x0_5"')
    text = text.replace('data = "digits"', 'data = {source = "digits", size = 32}')
    (folder / "shuffle.toml").write_text(text.replace("epochs = 4", "epochs = 1"))
    ran = run("search", "shuffle.toml", "--trials", "2", "--max-drop", "100")
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    reported = next(n for n, line in enumerate(lines) if line.startswith("no channels are pruned:"))
    assert "Torch-Pruning does not support this network" in lines[reported]
    assert reported < next(n for n, line in enumerate(lines) if line.startswith("baseline:"))
    assert any(line.startswith("2/2") for line in lines)
    assert "prune" not in ran.out.replace("no channels are pruned", "")
