"""Models of the user's own through the command: searched, exported, and their faults told."""

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paredown
import pytest
import torch
from paredown.errors import InputError
from paredown.extras import missing_packages
from safetensors.torch import save_file
from torch import nn

Run = Callable[..., Any]

NETS = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 16, 3, padding=1)
        self.last = nn.Linear(16, classes)

    def forward(self, images):
        images = torch.relu(self.norm(self.first(images)))
        return self.last(torch.relu(self.second(images)).mean((2, 3)))


class Two(Net):
    def forward(self, images):
        return super().forward(images), images


class Split(Net):
    def forward(self, images):
        return super().forward(images[:, :2, 1:])[0]


def make(classes):
    return Net(classes)


def trained():
    from safetensors.torch import load_file
    net = Net()
    net.load_state_dict(load_file("w.safetensors"))
    return net


def raises(classes):
    raise ValueError(f"nothing for {classes}")


def needs(classes, depth): ...


def pair():
    return Net(), 3


def nothing(): ...


def seven():
    return Net(7)


def on_meta():
    return Net().to("meta")


def lazy():
    return nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(10))
"""


@pytest.fixture(autouse=True)
def _nets(folder: Path) -> Iterator[None]:
    """A file of networks in the working folder; what is imported from it is forgotten after."""
    (folder / "nets.py").write_text(NETS)
    (folder / "broken.py").write_text("def make(classes:\n    pass\n")
    places = list(sys.path)
    yield
    sys.path[:] = places
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(folder)):
            del sys.modules[name]


def code_of(folder: Path) -> Any:
    spec = importlib.util.spec_from_file_location("nets_of_the_test", folder / "nets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_function_in_a_file_is_searched_exported_and_loaded(run: Run, folder: Path) -> None:
    ran = run(
        *("search", "tiny.toml", "--model", "nets.py:make", "--max-drop", "95", "--trials", "2")
    )
    assert ran.code == 0, ran.err
    assert "nets.py:make on digits" in ran.out
    assert run("export", "tiny", "--format", "safetensors", "--output", "small").code == 0
    data = json.loads((folder / "small" / "manifest.json").read_text())
    assert data["model"] == "nets.py:make"
    with pytest.raises(InputError, match=r"built by user code, nets.py:make.*model=\.\.\."):
        paredown.load("small")
    make = code_of(folder).make
    images = torch.rand(4, 1, 8, 8)
    networks = [paredown.load("small", model=item) for item in (make, make(10))]
    assert torch.equal(networks[0](images), networks[1](images))
    parameters = sum(parameter.numel() for parameter in networks[0].parameters())
    assert parameters < sum(parameter.numel() for parameter in make(10).parameters())
    evaluate = ("evaluate", "small", "--data", "digits", "--json")
    refused = run(*evaluate)
    assert refused.code == 2
    assert "--model" in refused.err
    scored = json.loads(run(*evaluate, "--model", "nets.py:make").out)
    assert scored["accuracy"] == pytest.approx(data["accuracy"]["test"]["accuracy"])
    with pytest.raises(InputError, match=r"do not match|no such place|not in"):
        paredown.load("small", model=nn.Sequential(nn.Conv2d(1, 8, 3), nn.Flatten()))
    with pytest.raises(InputError, match="expected a network or a function that returns one"):
        paredown.load("small", model="nets.py:make")  # type: ignore[arg-type]


def test_weights_come_from_a_file_or_with_the_function(run: Run, folder: Path) -> None:
    torch.manual_seed(0)
    save_file(code_of(folder).Net().state_dict(), folder / "w.safetensors")
    few = ("--max-drop", "95", "--trials", "1", "--json")
    provided = run(
        *("search", "tiny.toml", "--model", "nets.py:make", "--weights", "w.safetensors", *few)
    )
    brought = run(
        *("search", "tiny.toml", "--model", "nets:trained", "--trained", "--name", "own", *few)
    )
    assert (provided.code, brought.code) == (0, 0), provided.err + brought.err
    accuracies = [json.loads(ran.out)["baseline"]["accuracy"] for ran in (provided, brought)]
    assert accuracies[0] == accuracies[1] < 40, "untrained weights guess"
    save_file(code_of(folder).Net().state_dict(), folder / "w.safetensors")
    again = run(
        *("search", "tiny.toml", "--model", "nets:trained", "--trained", "--name", "own", *few)
    )
    assert again.code == 2
    assert "weights is" in again.err


def test_a_study_file_finds_code_beside_it(run: Run, folder: Path) -> None:
    (folder / "mine").mkdir()
    (folder / "nets.py").rename(folder / "mine" / "own_nets.py")
    study = (folder / "tiny.toml").read_text().replace('"resnet8"', '"own_nets.py:Net"')
    (folder / "mine" / "tiny.toml").write_text(study)
    shown = run("search", "mine/tiny.toml", "--dry-run", "--json")
    assert shown.code == 0, shown.err
    assert json.loads(shown.out)["model"] == "own_nets.py:Net"


def test_own_models_are_counted(run: Run) -> None:
    counted = json.loads(run("count", "nets.py:make", "--size", "8", "--json").out)
    by_hand = 8 * 9 + 2 * 8 + (8 * 9 + 1) * 16 + (16 + 1) * 10
    assert counted["params"] == by_hand
    counted = json.loads(run("count", "nets.py:seven", "--size", "8", "--json").out)
    assert (counted["params"], counted["classes"]) == (by_hand - 17 * 3, 7)


@pytest.mark.skipif(bool(missing_packages("timm")), reason="needs the extra timm")
def test_timms_models_go_by_their_name(run: Run) -> None:
    ran = run("search", "tiny.toml", "--model", "timm:resnet10t", "--dry-run", "--json")
    assert json.loads(ran.out)["model"] == "timm:resnet10t"
    ran = run("count", "timm:resnet10")
    assert ran.code == 2
    assert "did you mean timm:resnet10t" in ran.err


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("nets.py:raises", ["ValueError: nothing for 10", "nets.py, line 41: raise ValueError(f"]),
        ("broken.py:make", ["SyntaxError", "broken.py, line 1: def make(classes:"]),
        ("nets.py:mak", ["nets.py has no 'mak'; did you mean make?"]),
        ("nets.py", ["expected package.module:function or path/to/file.py:function"]),
        ("nowhere.py:make", ["nowhere.py cannot be read: no such file"]),
        ("nowhere:make", ["no module 'nowhere'"]),
        ("nets.py:needs", ["nets.py:needs has the required argument depth", "give it a default"]),
        ("nets.py:pair", ["nets.py:pair returned a tuple; expected a torch.nn.Module"]),
        ("nets.py:nothing", ["nets.py:nothing returned nothing"]),
        ("nets.py:Two", ["must return one tensor of class scores, got tuple; wrap it"]),
        ("nets.py:Split", ["must return scores of shape [batch, classes], got (10,)"]),
        ("nets.py:seven", ["has 7 outputs but the data has 10 classes", "build it for 10"]),
        ("nets.py:on_meta", ["a network on meta; return it on the CPU"]),
        ("nets.py:lazy", ["lazy layers; run it once on an image"]),
    ],
)
def test_what_cannot_be_used_is_told_once_and_plainly(
    model: str, told: list[str], run: Run, folder: Path
) -> None:
    before = set(folder.iterdir()) | {folder / "__pycache__"}
    ran = run("search", "tiny.toml", "--model", model)
    assert ran.code == 2, ran.err
    for words in told:
        assert words in ran.err
    assert ran.err.count("error:") == 1
    assert ran.out == ""
    assert "Traceback" not in ran.err
    assert set(folder.iterdir()) <= before


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--model", "resnet8", "--trained"], "resnet8 has no weights of its own"),
        (
            ["--model", "nets.py:make", "--trained", "--weights", "w.safetensors"],
            "expected either trained or weights for nets.py:make, got both: w.safetensors",
        ),
    ],
)
def test_weights_that_contradict_are_told(options: list[str], told: str, run: Run) -> None:
    ran = run("search", "tiny.toml", *options)
    assert ran.code == 2
    assert told in ran.err
