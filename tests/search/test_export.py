"""Winners as folders: what is in them, that it runs elsewhere, and what is refused."""

import hashlib
import importlib.util
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy
import paredown
import pytest
import torch
from paredown.errors import InputError, WeightsError
from paredown.objectives.data import DataRequest, load_data
from paredown.search.export import checking, formats
from paredown.spaces.quantization import rounding

from .conftest import Run, run_all

STUDY = """
model = "resnet8"
data = "digits"
max_drop = [20]
trials = 2
finalists = 0

[space]
width = [1.0]
block = ["original", "separable"]
prune = [0.0, 0.25]
bits = ["w8a8", "w32a32"]

[baseline]
epochs = 8
max_lr = 0.1

[train]
epochs = 2
max_lr = 0.05

[fine_tune]
epochs = 2
max_lr = 0.02
"""

FILES: tuple[str, ...] = ("model.onnx", "model.pt2", "model.safetensors")
if importlib.util.find_spec("executorch"):
    FILES += ("model.pte",)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study that has ended."""
    folder = tmp_path_factory.mktemp("searched")
    (folder / "tiny.toml").write_text(STUDY)
    run_all(folder, "search tiny.toml", "export tiny --output there")
    return folder


@pytest.fixture
def there(searched: Path, folder: Path) -> Path:
    """A copy of the exported folder, and the study beside it."""
    shutil.copytree(searched / "there", folder / "there")
    shutil.copy(searched / "paredown.db", folder / "paredown.db")
    return folder / "there"


def manifest(folder: Path) -> dict[str, object]:
    data: dict[str, object] = json.loads((folder / "manifest.json").read_text())
    return data


def test_a_folder_has_all_formats_a_manifest_and_a_card(there: Path) -> None:
    names = {path.name for path in there.iterdir()}
    assert names == {*FILES, "manifest.json", "plan.json", "MODEL_CARD.md"}
    data = json.loads((there / "manifest.json").read_text())
    for name in FILES:
        file = data["files"][name]
        assert file["sha256"] == hashlib.sha256((there / name).read_bytes()).hexdigest()
        assert file["checked"]["bytes"] == (there / name).stat().st_size
        for split in ("search", "test"):
            apart = file["checked"]["accuracy"][split] - data["accuracy"][split]["accuracy"]
            assert abs(apart) <= 0.5
    assert data["test_looks"] == 1
    assert json.loads((there / "plan.json").read_text()) == data["plan"]


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_scored_as_the_manifest_says(there: Path, run: Run, name: str) -> None:
    ran = run("evaluate", str(there / name), "--data", "digits", "--json")
    assert ran.code == 0, ran.err
    results, data = json.loads(ran.out), json.loads((there / "manifest.json").read_text())
    assert results["images"] == data["accuracy"]["test"]["images"]
    assert results["accuracy"] == pytest.approx(
        data["files"][name]["checked"]["accuracy"]["test"], abs=0.3
    )


def test_the_card_runs_word_for_word_without_paredown(there: Path) -> None:
    """In a fresh process with onnxruntime and numpy alone."""
    (code,) = re.findall(r"```python\n(.*?)```", (there / "MODEL_CARD.md").read_text(), re.DOTALL)
    splits = load_data(DataRequest("digits"))
    pixels, labels = next(iter(splits.test.batches(360)))
    numpy.save(there / "pixels.npy", pixels.numpy())
    script = (
        code
        + "import sys\nprint(json.dumps(classify(numpy.load('pixels.npy'))))\n"
        + "assert not {'torch', 'paredown'} & set(sys.modules)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=there, capture_output=True, text=True, check=True
    )
    named = [splits.classes[label] for label in labels]
    right = [ours == theirs for ours, theirs in zip(json.loads(ended.stdout), named, strict=True)]
    data = json.loads((there / "manifest.json").read_text())["accuracy"]["test"]
    assert data["images"] == len(right)
    assert 100 * sum(right) / len(right) == pytest.approx(data["accuracy"], abs=0.5)


def test_load_gives_the_network(there: Path) -> None:
    network = paredown.load(there)
    splits = load_data(DataRequest("digits"))
    pixels, _ = next(iter(splits.test.batches(64)))
    images = splits.normalisation(pixels)
    program = torch.export.load(there / "model.pt2").module()
    with torch.inference_mode():
        ours, theirs = network(images), program(images)
    assert not network.training
    assert (ours.argmax(1) == theirs.argmax(1)).float().mean() >= 0.98


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _change_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [_truncate, _change_a_byte], ids=["truncated", "changed"])
@pytest.mark.parametrize("name", FILES)
def test_harmed_files_are_refused(
    there: Path, run: Run, name: str, harm: Callable[[Path], None]
) -> None:
    harm(there / name)
    ran = run("evaluate", str(there / name), "--data", "digits")
    assert ran.code == 2
    assert "SHA-256" in ran.err
    if name == "model.safetensors":
        with pytest.raises(InputError, match="SHA-256"):
            paredown.load(there)


def _believed(folder: Path, name: str) -> None:
    """Let the manifest vouch for a file as it is now."""
    data = json.loads((folder / "manifest.json").read_text())
    data["files"][name]["sha256"] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(data))


class _Harm:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", FILES)
def test_files_of_another_sort_are_refused_though_a_manifest_vouches_for_them(
    there: Path, run: Run, name: str
) -> None:
    mark = there.parent / "unpickled"
    (there / name).write_bytes(pickle.dumps(_Harm(mark)))
    _believed(there, name)
    assert run("evaluate", str(there / name), "--data", "digits").code == 2
    assert not mark.exists()


def test_nothing_inside_a_torch_export_file_is_unpickled(there: Path, run: Run) -> None:
    """Every entry that torch would read as tensors is made to carry code."""
    mark, path = there.parent / "unpickled", there / "model.pt2"
    harmful = there.parent / "harmful"
    torch.save(_Harm(mark), harmful)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for entry, data in entries.items():
            reported = entry.endswith((".json", "version", "byteorder", "archive_format"))
            archive.writestr(entry, data if reported else harmful.read_bytes())
    _believed(there, "model.pt2")
    assert run("evaluate", str(path), "--data", "digits").code == 2
    assert not mark.exists()


def test_weights_of_another_network_are_refused(there: Path) -> None:
    from safetensors.torch import save_file

    save_file({"fc.weight": torch.zeros(3, 3)}, there / "model.safetensors")
    _believed(there, "model.safetensors")
    with pytest.raises(WeightsError, match="do not match"):
        paredown.load(there)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("{", "cannot be read"),
        ("[]", "not a manifest"),
        ('{"manifest": 1}', "lacks model, classes"),
    ],
)
def test_broken_manifests_are_refused(there: Path, run: Run, said: str, expected: str) -> None:
    (there / "manifest.json").write_text(said)
    ran = run("evaluate", str(there / "model.onnx"), "--data", "digits")
    assert ran.code == 2
    assert expected in ran.err


def test_evaluate_refuses_what_it_cannot_score(there: Path, run: Run) -> None:
    ran = run("evaluate", str(there / "plan.json"), "--data", "digits")
    assert (ran.code, "ends in .onnx" in ran.err) == (2, True)
    ran = run("evaluate", str(there / "none.onnx"), "--data", "digits")
    assert (ran.code, "no such file" in ran.err) == (2, True)
    ran = run("evaluate", str(there), "--data", "digits", "--split", "tests")
    assert (ran.code, "got 'tests'" in ran.err) == (2, True)
    shutil.move(there / "model.onnx", there.parent / "model.onnx")
    ran = run("evaluate", "model.onnx", "--data", "digits")
    assert (ran.code, "has no manifest.json" in ran.err) == (2, True)


def test_another_model_is_replaced_only_by_force(there: Path, run: Run) -> None:
    export = ("export", "tiny", "--format", "safetensors", "--output", "there")
    data = manifest(there)
    (there / "manifest.json").write_text(json.dumps(data | {"study": "other"}))
    ran = run(*export)
    assert ran.code == 2
    assert "--force" in ran.err
    assert manifest(there)["study"] == "other"
    assert run(*export, "--force").code == 0
    assert manifest(there)["study"] == "tiny"
    assert not (there / "model.onnx").exists()


def test_a_folder_of_other_things_is_never_replaced(there: Path, run: Run) -> None:
    home = there.parent / "home"
    home.mkdir()
    (home / "letter.txt").write_text("dear")
    ran = run("export", "tiny", "--output", "home", "--force")
    assert ran.code == 2
    assert (home / "letter.txt").read_text() == "dear"


def test_a_full_disk_leaves_nothing(there: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    file_format = formats.FORMATS["safetensors"]
    monkeypatch.setattr(formats, "FORMATS", {"safetensors": replace(file_format, write=full)})
    ran = run("export", "tiny", "--format", "safetensors", "--output", "new")
    assert ran.code == 2
    assert "No space left on device" in ran.err
    left = [path.name for path in there.parent.iterdir() if "new" in path.name]
    assert not left


@pytest.mark.matrix
def test_a_killed_export_leaves_nothing_under_the_name(there: Path, run: Run) -> None:
    command = [sys.executable, "-c", "from paredown.search.cli import main; main()"]
    killed = subprocess.Popen(
        [*command, "export", "tiny", "--format", "onnx", "--output", "new"],
        cwd=there.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (left := list(there.parent.glob(".new.*.part"))) and killed.poll() is None:
        time.sleep(0.01)
    killed.kill()
    assert killed.wait() != 0
    assert left
    assert not (there.parent / "new").exists()
    os.utime(left[0], (0, 0))
    assert run("export", "tiny", "--format", "safetensors", "--output", "new").code == 0
    assert not left[0].exists()


def test_a_file_that_answers_otherwise_is_not_kept(
    there: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_format = formats.FORMATS["safetensors"]

    def wrong(network: torch.nn.Module, images: torch.Tensor, path: Path) -> None:
        file_format.write(network, images, path)
        tensors = {
            name: -value if value.is_floating_point() else value
            for name, value in network.state_dict().items()
        }
        network.load_state_dict(tensors)
        file_format.write(network, images, path)

    monkeypatch.setattr(formats, "FORMATS", {"safetensors": replace(file_format, write=wrong)})
    ran = run("export", "tiny", "--format", "safetensors", "--output", "new")
    assert ran.code == 4, ran.err
    assert "model.safetensors was discarded" in ran.err
    assert not (there.parent / "new").exists()


@pytest.mark.matrix
def test_a_file_that_would_answer_otherwise_elsewhere_is_not_kept(
    there: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that was kept by an earlier version, which did not look, is told of."""
    monkeypatch.setattr(rounding, "LARGEST_PAIR", 2 * rounding.highest_level(8))
    ran = run("export", "tiny", "--format", "onnx", "--output", "new")
    assert ran.code == 4, ran.err
    assert "outputs would differ on x86 processors without VNNI" in ran.err
    assert not (there.parent / "new").exists()
    monkeypatch.setattr(formats, "can_saturate", lambda path: False)
    assert run("export", "tiny", "--format", "onnx", "--output", "new").code == 0
    for folder, can_saturate in (("new", True), ("there", False)):
        words = ("evaluate", f"{folder}/model.onnx", "--data", "digits")
        assert json.loads(run(*words, "--json").out)["can_saturate"] is can_saturate
        assert (
            "outputs may differ on x86 processors without VNNI" in run(*words).err
        ) is can_saturate


def test_bad_input_is_told_in_one_sentence(there: Path, run: Run) -> None:
    ran = run("export", "tiny", "--format", "onx")
    assert (ran.code, "did you mean onnx?" in ran.err) == (2, True)
    ran = run("export", "tinny")
    assert (ran.code, "did you mean tiny?" in ran.err) == (2, True)


def test_a_command_of_the_users_tells_the_latency(there: Path, run: Run) -> None:
    got_text = (
        f"{sys.executable} -c \"import os,sys;print('ms', os.path.getsize(sys.argv[1]))\" {{file}}"
    )
    export = ("export", "tiny", "--format", "safetensors", "--output", "new")
    ran = run(*export, "--latency-command", got_text)
    assert ran.code == 0, ran.err
    data = json.loads((there.parent / "new" / "manifest.json").read_text())
    checked = data["files"]["model.safetensors"]["checked"]
    assert checked["device_milliseconds"] == checked["bytes"]
    assert checked["baseline_device_milliseconds"] == checked["baseline_bytes"]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("bench", "with {file} in it"),
        ("'bench {file}", "No closing quotation"),
        ("no-such-bench {file}", "cannot be run"),
        ("false {file}", "ended with code 1"),
        ("echo fast{file}", "to print milliseconds"),
    ],
)
def test_latency_commands_that_tell_nothing(
    there: Path, run: Run, command: str, expected: str
) -> None:
    export = ("export", "tiny", "--format", "safetensors", "--output", "new")
    ran = run(*export, "--latency-command", command)
    assert ran.code == 2
    assert expected in ran.err
    assert not (there.parent / "new").exists()


def test_a_budget_without_winner_ends_with_3(folder: Path, run: Run) -> None:
    harsh = STUDY.replace('["w8a8", "w32a32"]', '["w32a32"]').replace("[0.0, 0.25]", "[0.0]")
    (folder / "harsh.toml").write_text(harsh.replace("[20]", "[0.1]").replace("= 0.05", "= 0.5"))
    assert run("search", "harsh.toml").code == 3
    ran = run("export", "harsh", "--output", "new")
    assert ran.code == 3
    assert "no compressed network met the 0.1 pp budget" in ran.err
    assert not (folder / "new").exists()


def test_faults_of_a_file_are_told_all() -> None:
    good = checking.Checked(
        {"search": 90.0, "test": 90.0}, {"search": 90.4, "test": 90.0}, 99.0, 0.1, 1, 1, 1.0, 1.0
    )
    assert good.faults == []
    bad = replace(good, accuracy={"search": 90.0, "test": 80.0}, agreement=85.0)
    assert len(bad.faults) == 2
