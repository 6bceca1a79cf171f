"""Commands that answer at once: what they import, and that their answers do not suffer for it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import TINY, Run, run_all

HEAVY = {"torch", "torchvision", "torch_pruning", "pandas", "scipy", "sklearn", "plotly"}
"""Each takes a third of a CPU second to import, and torch more than one."""

_RUN = """
import sys
from paredown.search.cli import main
try:
    main()
finally:
    print("imported:", *{name.partition(".")[0] for name in sys.modules}, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study that was searched, and whose winner was looked at on the test split."""
    folder = tmp_path_factory.mktemp("startup")
    (folder / "tiny.toml").write_text(TINY.format(sampler="random"))
    run_all(folder, "search tiny.toml")
    return folder


@pytest.mark.parametrize("command", ["studies", "models", "techniques", "best tiny"])
@pytest.mark.parametrize("form", ["", "--json"])
def test_what_answers_at_once_imports_little(studies: Path, command: str, form: str) -> None:
    words = [*command.split(), *form.split()]
    ran = subprocess.run(
        [sys.executable, "-c", _RUN, *words],
        cwd=studies,
        capture_output=True,
        text=True,
        check=False,
    )
    imported = ran.stderr.rpartition("imported:")[2].split()
    assert "paredown" in imported, ran.stderr
    assert not HEAVY & set(imported)


@pytest.mark.parametrize("sampler", ["budget", "random"])
def test_a_searching_process_needs_no_torch(tmp_path: Path, sampler: str) -> None:
    """The evaluating one has it. Together they would take twice the memory otherwise."""
    (tmp_path / "tiny.toml").write_text(TINY.format(sampler=sampler))
    ran = subprocess.run(
        [sys.executable, "-c", _RUN, "search", "tiny.toml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode in (0, 3), ran.stderr
    imported = ran.stderr.rpartition("imported:")[2].split()
    assert "optuna" in imported
    assert not {"torch", "torchvision", "torch_pruning", "sympy"} & set(imported)


@pytest.mark.parametrize("model", ["resnet8", "resnet18", "googlenet", "mobilenet_v2"])
def test_a_model_costs_the_same_alone_and_beside_a_plan(run: Run, folder: Path, model: str) -> None:
    (folder / "nothing.json").write_text('{"version": 1}')
    alone = json.loads(run("count", model, "--json").out)
    beside = json.loads(run("count", model, "--json", "--plan", "nothing.json").out)
    assert alone.items() <= beside.items()
    assert beside["baseline"].items() <= alone.items()
