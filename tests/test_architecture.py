"""The shape of the house: which way imports go, what files may hold, and that the map is true."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ("spaces", "objectives", "search")
MODULES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))
EVERYWHERE = [*sorted(ROOT.glob("*.py")), *MODULES]

FLOORS = {
    "spaces": (
        *("models", "graph", "technique", "quantization", "pruning", "nni", "criteria"),
        *("quantizers", "blocks", "techniques", "plan", "apply", "space", "approaches"),
    ),
    "objectives": ("search_source", "data", "cost", "accuracy", "training", "evaluation"),
    "search": (
        *("formatting", "samplers", "study", "results", "isolation", "runner", "terminal"),
        *("onnx", "export", "doctor", "ablation", "figures", "dashboard", "report", "api"),
        *("commands", "cli"),
    ),
}
"""The folders and loose files of each layer, the lowest first: imports go downwards only."""

ONE_EACH = ("blocks", "commands", "criteria", "figures", "quantizers", "techniques")
"""Folders of which every file is one thing of a technique, however short it is."""

SHORT = {
    "__init__.py",
    "_torchvision.py",  # one repair of a third party
    "heartbeat.py",  # imported by what must not know of training
    "paths.py",  # imported by data and cache, which know nothing of each other
    "version.py",
    "objectives/search_source.py",  # known without any image: data takes a third of a second
    "objectives/training/batchnorm.py",  # imported by fitting and by training
    "search/formatting.py",  # imported by all that shows something
    "spaces/graph/channel_rounding.py",  # imported by what predicts and by what cuts
}
"""Files that may be shorter than a paragraph, and why."""


DESCRIPTIONS = (
    "spaces.techniques",
    "spaces.models",
    "spaces.space",
    "spaces.approaches",
    "objectives.cost.objective",
    "objectives.evaluation.outcome",
    "search.results.summary",
    "search.results.advice",
    "search.cli",
    "search.terminal.listings",
    "search.study.start_plans",
    "search.terminal.tables",
)
"""What techniques, models, costs, answers and commands are, without what builds or draws."""

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


def module_of(path: Path) -> str:
    """The dotted name of a file inside the package; empty for the package itself."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {module_of(path) for path in EVERYWHERE}


def reached(path: Path) -> set[str]:
    """The modules of the package that a file imports, anywhere in it, even for types alone."""
    package, names = path.relative_to(ROOT).parent.parts, set[str]()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            home = ".".join(filter(None, base))
            inner = {f"{home}.{alias.name}".lstrip(".") for alias in node.names}
            names |= inner & NAMES
            names |= {home} if inner - NAMES else set()
    return names


REACHED = {module_of(path): reached(path) for path in EVERYWHERE}


def floor_of(module: str) -> int:
    """The floor of a module in its layer."""
    layer, room = module.split(".")[:2]
    return FLOORS[layer].index(room)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_one_way(path: Path) -> None:
    layer = LAYERS.index(path.relative_to(ROOT).parts[0])
    above = LAYERS[layer + 1 :]
    wrong = [name for name in imported(path) if name.split(".")[0] in above]
    assert not wrong, f"{name_of(path)} imports {wrong}, which stand above it"


def test_folders_import_downwards_alone() -> None:
    upwards = [
        f"{module} imports {other}"
        for module, others in REACHED.items()
        for other in others
        if "." in module and "." in other and module.split(".")[0] == other.split(".")[0]
        if floor_of(other) > floor_of(module)
    ]
    assert not upwards, "see FLOORS"


def test_nothing_imports_the_package_itself() -> None:
    """Its `__init__` stands above everything; the version is in `version`."""
    above = {"", "extend", *LAYERS}
    assert not [module for module, others in REACHED.items() if others & above - {module}]


def test_no_imports_go_in_a_circle() -> None:
    """Not even inside functions, or for types alone."""
    waiting = dict(REACHED)
    while free := {module for module, others in waiting.items() if not others & waiting.keys()}:
        waiting = {module: others for module, others in waiting.items() if module not in free}
    while waiting and (top := waiting.keys() - set[str]().union(*waiting.values())):
        waiting = {module: others for module, others in waiting.items() if module not in top}
    assert not waiting, f"a circle: {sorted(waiting)}"


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


def test_files_are_paragraphs() -> None:
    """Neither books nor sentences. A sentence joins its neighbour."""
    lines = {path: len(path.read_text().splitlines()) for path in EVERYWHERE}
    assert not [name_of(path) for path, count in lines.items() if count > 350]
    short = [path for path in EVERYWHERE if lines[path] < 30 and path.parent.name not in ONE_EACH]
    assert not [name_of(path) for path in short if not SHORT & {path.name, name_of(path)}]


def test_no_file_name_occurs_twice() -> None:
    count = Counter(path.name for path in EVERYWHERE)
    assert [name for name, times in count.items() if times > 1] == ["__init__.py"]


def test_each_folder_says_in_two_sentences_what_lives_there() -> None:
    folders = [path for path in MODULES if path.name == "__init__.py"]
    data = {name_of(path): ast.get_docstring(ast.parse(path.read_text())) for path in folders}
    assert not [name for name, doc in data.items() if len(re.findall(r"\.(?=\s|$)", doc or "")) < 2]


MAP = (ROOT / "ARCHITECTURE.md").read_text()


@pytest.mark.parametrize("layer", LAYERS)
def test_the_map_shows_every_floor_in_its_order(layer: str) -> None:
    """The top floor first, as houses are drawn."""
    drawn = MAP.partition(f"\n{layer}/")[2].partition("\n\n")[0].partition("\n```")[0]
    rooms = re.findall(r"^  (\w+)(?:/|\.py)\s", drawn, re.M)
    assert rooms == list(reversed(FLOORS[layer]))
    there = {path.name.removesuffix(".py") for path in (ROOT / layer).iterdir()}
    assert set(rooms) == there - {"__init__", "__pycache__"}


def test_the_map_names_files_that_are_there() -> None:
    named = set(re.findall(r"`((?:[\w.-]+/)*[\w.-]+\.(?:py|md|toml|txt|json)|(?:\w+/)+)`", MAP))
    assert named
    assert not [name for name in named if not (ROOT / name).exists()]


def test_every_folder_of_code_is_packaged() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = set(project["tool"]["setuptools"]["packages"])
    folders = {path.parent.relative_to(ROOT) for path in MODULES}
    assert listed == {"paredown"} | {".".join(("paredown", *folder.parts)) for folder in folders}
