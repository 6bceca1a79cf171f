"""The shape of the house: imports go one way, and the package list is whole."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ("spaces", "objectives", "search")
MODULES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))


DESCRIPTIONS = (
    "spaces.techniques",
    "spaces.models",
    "spaces.space",
    "spaces.approaches",
    "objectives.cost.objective",
    "objectives.evaluation.outcome",
    "search.results.summary",
    "search.results.advice",
    "search.terminal.listings",
    "search.study.start_plans",
    "search.terminal.tables",
)
"""What techniques, models, costs and answers are, without what builds, trains or draws them."""

_REFUSING = """
import sys
from importlib import import_module

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {heavy}:
            raise ImportError(name + " is imported")

sys.meta_path.insert(0, Refuse())
import_module("paredown.{module}")
"""


def imported(path: Path) -> Iterator[str]:
    """What a module imports, relative imports as dotted names inside the package."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1]
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from (".".join((*base, str(name))) for name in names)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_one_way(path: Path) -> None:
    layer = LAYERS.index(path.relative_to(ROOT).parts[0])
    above = LAYERS[layer + 1 :]
    wrong = [name for name in imported(path) if name.split(".")[0] in above]
    assert not wrong, f"{name_of(path)} imports {wrong}, which stand above it"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_optuna_is_imported_in_search_alone(path: Path) -> None:
    if path.relative_to(ROOT).parts[0] != "search":
        assert not [name for name in imported(path) if name.split(".")[0].startswith("optuna")]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_torchvision_comes_through_the_one_module(path: Path) -> None:
    assert "torchvision" not in {name.split(".")[0] for name in imported(path)}


GOES_BACKWARD = {"backward", "grad", "enable_grad", "compress", "speedup_model"}
"""What takes gradients when it is called; the last two are NNI's."""

GUARDS = {"safe_convolutions", "frozen_norms"}
"""The second holds the first."""

OUTSIDE = {
    "spaces/pruning/dependencies.py": {"enable_grad"},  # looks at the graph, and goes nowhere in it
    "spaces/nni/speedup.py": {"enable_grad"},  # traces, and `speedup_model` is guarded
    "spaces/nni/pruners.py": {"backward"},  # in a function that the guarded call calls
}


def called(node: ast.AST) -> str:
    """The name of what is called, behind its last dot; empty if nothing is."""
    if not isinstance(node, ast.Call):
        return ""
    return str(getattr(node.func, "attr", "") or getattr(node.func, "id", ""))


def unguarded(node: ast.AST) -> Iterator[str]:
    """What is called outside of `safe_convolutions`."""
    if isinstance(node, ast.With) and GUARDS & {called(item.context_expr) for item in node.items}:
        return
    yield called(node)
    for child in ast.iter_child_nodes(node):
        yield from unguarded(child)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_gradients_are_taken_inside_safe_convolutions_alone(path: Path) -> None:
    if path.name != "convolution_checks.py":  # also computes them on paper
        outside = GOES_BACKWARD & set(unguarded(ast.parse(path.read_text())))
        assert outside == OUTSIDE.get(name_of(path), set())


@pytest.mark.parametrize("module", DESCRIPTIONS)
def test_descriptions_do_not_import_torch(module: str) -> None:
    """Take `torch` and `nn` from `lazy_imports`, and give classes of nn.Module their own module."""
    heavy = {"torch", "torch_pruning", "scipy", "sklearn", "pandas", "plotly"}
    code = _REFUSING.format(heavy=heavy, module=module)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_stay_readable(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 330


def test_every_folder_of_code_is_packaged() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = set(project["tool"]["setuptools"]["packages"])
    folders = {path.parent.relative_to(ROOT) for path in MODULES}
    assert listed == {"paredown"} | {".".join(("paredown", *folder.parts)) for folder in folders}
