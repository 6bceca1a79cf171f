"""Runs what the docs say, each page in a folder of its own, with searches made tiny.

What is made small is what a search does, never what a page says: study files and options are read
as they are, and then `small` has one network of a small space trained for one epoch. Networks are
shared over all pages by the cache of the test run.
"""

import contextlib
import io
import re
import runpy
import socketserver
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from paredown.objectives.cost.objective import OBJECTIVES
from paredown.objectives.data import SOURCES
from paredown.objectives.training.recipe import Recipe
from paredown.registry import Registry
from paredown.search.export import formats
from paredown.search.runner import run_study, search_loop
from paredown.search.study.config import StudyConfig, load_config
from paredown.spaces.blocks.families import FAMILIES
from paredown.spaces.criteria import CRITERIA
from paredown.spaces.models import build_model
from paredown.tests.docs.reading import ROOT, Block, Command
from paredown.tests.search.conftest import evaluate_here, exit_code, fit_quickly
from PIL import Image
from sklearn.datasets import load_digits

_TINY = Recipe(epochs=1, max_lr=0.05)
# One network, whose half precision answers as the baseline does: every budget has a winner.
_SPACE: dict[str, tuple[Any, ...]] = {
    "block": ("original", "separable"),
    "prune": (0.0,),
    "width": (1.0,),
    "bits": ("w16a16", "w8a8"),
}
_SAID_BEFORE = dict[tuple[str, ...], tuple[int, str]]()
"""What commands said that say the same on every page."""

_ONLY_LOOKED_AT = ("pip", "pytest", "git", "cd", ".", "python3.11", "less")


def small(config: StudyConfig) -> StudyConfig:
    """The same study with next to nothing to do."""
    recipes = dict.fromkeys(("baseline", "train", "fine_tune", "quantize"), _TINY)
    space = {} if config.start else {"space": _SPACE}
    shallow = config.model == "resnet20" and not config.weights
    model = {"model": "resnet8"} if shallow else {}
    return config.model_copy(update={"trials": 1, "finalists": 0} | recipes | space | model)


@pytest.fixture
def everything_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches have next to nothing to do, a dashboard ends when it has begun, and what a page
    registers is gone when it is over."""
    search = run_study._search
    monkeypatch.setattr(run_study, "_search", lambda config, *rest: search(small(config), *rest))
    quickest = formats.parse_formats("safetensors")
    monkeypatch.setattr(formats, "installed_formats", lambda: quickest)
    monkeypatch.setattr(search_loop, "first_designs", lambda *_: [])
    monkeypatch.setattr(socketserver.BaseServer, "serve_forever", _interrupt)
    fit_quickly(monkeypatch)
    evaluate_here(monkeypatch)
    registries: tuple[Registry[Any], ...] = (FAMILIES, CRITERIA, SOURCES, OBJECTIVES)
    for registry in registries:
        for name, stored in vars(registry).items():
            if isinstance(stored, dict):
                monkeypatch.setattr(registry, name, dict(stored))


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@dataclass
class Runner:
    """Runs the blocks of one page in order.

    Attributes:
        folder: where they run.
        patch: what is undone when the page is over.
        names: the names that its Python has made so far.
    """

    folder: Path
    patch: pytest.MonkeyPatch
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "page"} | of_the_reader())

    def __post_init__(self) -> None:
        self.patch.chdir(self.folder)
        self.patch.syspath_prepend(self.folder)
        self.patch.setenv("COLUMNS", "120")

    def run(self, block: Block) -> None:
        """Do what a block says.

        Raises:
            AssertionError: it does not do what the page says.
        """
        if block.language == "toml":
            read_study(block, self.folder)
        elif block.file:
            write(block, self.folder)
            if block.language == "python":
                compile(block.text, block.file, "exec")
        elif block.language == "python":
            code = "\n" * (block.line - 1) + block.text
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(code, "the page", "exec"), self.names)
        elif block.language in ("sh", "console"):
            for command in block.commands():
                self.command(command)

    def command(self, command: Command) -> None:
        """Run one command and compare what it prints."""
        program, *words = command.words
        if program in _ONLY_LOOKED_AT:
            return
        if program == "python":
            self._script(words)
            return
        assert program == "paredown", f"line {command.line}: nobody knows how to run {program}"
        code, printed = self.paredown(*words)
        # So small a search may find no plan within the budgets, and says so by its code.
        fine = (0, 3) if words[0] == "search" else (0,)
        assert code in fine, f"line {command.line}: {' '.join(command.words)}\n{printed}"
        if command.prints is not None:
            wanted = _pattern(command.prints)
            assert re.search(wanted, "\n".join(map(_even, printed.splitlines())) + "\n"), (
                f"line {command.line}: {' '.join(command.words)} prints\n{printed}"
            )

    def paredown(self, *words: str) -> tuple[int, str]:
        """Run the command in this process; its exit code and all that it said."""
        if words not in _SAID_BEFORE:
            ran = self._paredown(*words)
            if not _depends_on_folder(words):
                _SAID_BEFORE[words] = ran
            return ran
        return _SAID_BEFORE[words]

    def _paredown(self, *words: str) -> tuple[int, str]:
        chosen = [*words, "--port", "0"] if words[0] == "dashboard" else [*words]
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
            code = exit_code(self.patch, *chosen)
        return code, text.getvalue()

    def close(self) -> None:
        """Forget modules that came from the page's folder: other pages have some of that name."""
        for name, module in list(sys.modules.items()):
            if Path(getattr(module, "__file__", None) or "/").is_relative_to(self.folder):
                del sys.modules[name]

    def _script(self, words: list[str]) -> None:
        if words[0] == "-c":
            exec(words[1], {"__name__": "__main__"})
            return
        if (ROOT / words[0]).is_relative_to(ROOT / "benchmarks"):
            assert (ROOT / words[0]).exists(), f"there is no {words[0]}"
            return
        self.patch.setattr(sys, "argv", words)
        with contextlib.redirect_stdout(io.StringIO()):
            runpy.run_path(words[0], run_name="__main__")


def of_the_reader() -> dict[str, Any]:
    """What snippets mean by `net`, `train` and `test`, if they do not say: a network and images."""
    digits = load_digits()
    items = list(zip((digits.images / 16).astype("float32"), digits.target, strict=True))
    return {"net": build_model("resnet8", 10, 1), "train": items[:300], "test": items[300:400]}


def write(block: Block, folder: Path) -> Path:
    """Write a block to the file that it names."""
    path = folder / block.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text, encoding="utf-8")
    return path


def read_study(block: Block, folder: Path) -> None:
    """Read a block as the study file, or the part of one, that it is."""
    import tomllib

    data = tomllib.loads(block.text)
    path = write(block, folder) if block.file else None
    if "project" in data:
        return
    if "model" not in data:
        load_config("digits", data)
    elif path:
        load_config(str(path), {})
    else:
        (folder / "page.toml").write_text(block.text, encoding="utf-8")
        load_config(str(folder / "page.toml"), {})


def make_images(folder: Path, classes: tuple[str, ...] = ("daisy", "rose")) -> None:
    """A folder of class folders with a few small images."""
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(10):
            colour = (20 * number, 100 * label, 50)
            Image.new("RGB", (8, 8), colour).save(folder / name / f"{number}.png")


def _depends_on_folder(words: tuple[str, ...]) -> bool:
    always_same = words[0] in ("count", "techniques", "models", "studies", "--version")
    return not (always_same or words == ("search", "--dry-run")) or "--plan" in words


def _even(line: str) -> str:
    return re.sub(r"[\s─]+", " ", line).strip()


def _pattern(lines: tuple[str, ...]) -> str:
    """What finds these lines in evened output."""
    parts = list[str]()
    for line in filter(None, map(_even, lines)):
        words = re.escape(line).replace(re.escape("..."), ".*")
        parts.append("(?:.*\n)*?" if line == "..." else f"{words}\n(?:\\s*\n)*")
    return "(?m)^" + "".join(parts)
