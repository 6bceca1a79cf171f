"""The docs do what they say: every command and snippet of every page is run.

tests/docs/reading.py says how pages are read, tests/docs/running.py how they are run.
"""

import json
import re
import shlex
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
import torch
import torch_pruning
import typer
from paredown.objectives.cost.cost import measure
from paredown.objectives.training.recipe import Recipe
from paredown.search.cli import app
from paredown.search.study.config import DataConfig, StudyConfig
from paredown.search.terminal.listings import techniques
from paredown.spaces.models import build_model
from paredown.spaces.techniques import TECHNIQUES
from paredown.tests.docs.reading import (
    PAGES,
    ROOT,
    Block,
    anchors,
    blocks,
    links,
    mentioned,
    named,
)
from paredown.tests.docs.running import Runner, everything_small, make_images
from paredown.tests.matrix import represented
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["everything_small"]

MOST_NOT_RUN = 3
"""Blocks of all pages that may say that they are not run."""

OTHERS = ("ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")
ALL = [*PAGES, *(ROOT / page for page in OTHERS)]
COMMANDS: dict[str, Any] = dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def is_readme(page: Path) -> bool:
    return page.name == "README.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a page runs: with the images, the weights and the plan that pages speak of."""
    make_images(tmp_path / "flowers")
    torch.manual_seed(0)
    save_file(build_model("resnet20", 2, 3).state_dict(), tmp_path / "resnet20.safetensors")
    (tmp_path / "plan.json").write_text('{"version": 1, "block": {"stage3": "separable"}}')
    return tmp_path


@pytest.mark.usefixtures("everything_small")
@pytest.mark.parametrize("page", represented(PAGES, is_readme), ids=name_of)
def test_every_command_and_snippet_runs(
    page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = Runner(folder, monkeypatch)
    try:
        for block in blocks(page):
            if not block.not_run:
                runner.run(block)
    finally:
        runner.close()


def test_few_blocks_are_not_run_and_all_say_why() -> None:
    left = {
        f"{name_of(page)}:{item.line}": item.not_run for page in PAGES for item in skipped(page)
    }
    assert len(left) <= MOST_NOT_RUN, left


def skipped(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.not_run]


@pytest.mark.parametrize("page", ALL, ids=name_of)
def test_commands_that_are_mentioned_exist(page: Path) -> None:
    parts = [shlex.split(code, posix=False) for code in mentioned(page)]
    parts += [list(item.words) for block in skipped(page) for item in block.commands()]
    for program, first, *words in (item for item in parts if len(item) > 1):
        if program == "python":
            assert (ROOT / first).exists() or first == "-m", first
        elif not first.startswith("-") and re.fullmatch(r"[a-z]+", first):
            assert first in COMMANDS, f"there is no paredown {first}"
            known = options(COMMANDS[first])
            for word in words:
                option = word.partition("=")[0].strip("[]")
                assert not option.startswith("--") or option in known, f"{first} has no {option}"


@pytest.mark.parametrize("page", ALL, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        place, _, anchor = link.partition("#")
        target = page.parent / place if place else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_line_that_ci_runs_is_there_once_and_can_be_installed() -> None:
    readme = (ROOT / "README.md").read_text()
    (line,) = [line for line in readme.splitlines() if "pytest -n 2" in line]
    assert line.startswith("pip install -c constraints.txt -e '.[")
    assert "grep -m1 'pytest -n 2' README.md" in (ROOT / ".ci" / "run").read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    text = "\n".join(page.read_text() for page in ALL)
    asked = re.findall(r"(?:paredown|-e '\.|'\.)\[([\w,]+)\]", text)
    assert {extra for item in asked for extra in item.split(",")} <= extras.keys()
    assert (ROOT / "constraints.txt").exists()


def options(command: click.Command) -> set[str]:
    """The options of a command as they are typed."""
    return {
        name for parameter in command.params for name in parameter.opts if name.startswith("--")
    } | {"--help"}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_of_commands_has_every_option(command: str) -> None:
    section = sections(ROOT / "docs" / "commands.md")[f"paredown {command}"]
    reported = set(re.findall(r"^\| `(--[\w-]+)", section, flags=re.M))
    assert reported == options(COMMANDS[command]) - {"--help"}


def test_the_page_of_commands_has_no_other_command() -> None:
    headings = sections(ROOT / "docs" / "commands.md")
    names = {name.removeprefix("paredown ") for name in headings if name.startswith("paredown ")}
    assert names == COMMANDS.keys()


def sections(page: Path) -> dict[str, str]:
    """Heading -> what stands below it, headings of `code` without the marks."""
    parts = re.split(r"^##+ (.+)$", page.read_text(), flags=re.M)
    return {head.strip("`"): text for head, text in zip(parts[1::2], parts[2::2], strict=True)}


@pytest.mark.parametrize(
    ("heading", "keys"),
    [
        ("The study", {**StudyConfig.model_fields}),
        ("data", {**DataConfig.model_fields}),
        ("Recipes", {attribute.name: attribute for attribute in fields(Recipe)}),
    ],
    ids=["study", "data", "recipe"],
)
def test_the_page_of_study_files_has_every_key_with_its_default(
    heading: str, keys: dict[str, Any]
) -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| ([^|]*) \|", sections(ROOT / "docs" / "study-files.md")[heading], re.M
    )
    assert [name for name, _ in rows] == list(keys)
    for name, default in rows:
        value = keys[name].default
        got_text = f"{value:g}" if isinstance(value, float) else f"{value}"
        if isinstance(value, int | float | str) and not isinstance(value, bool) and value != "":
            assert default.strip('`" ') == got_text, name


def test_the_page_of_study_files_has_the_default_options_of_every_technique() -> None:
    text = sections(ROOT / "docs" / "study-files.md")["space"]
    reported = dict(re.findall(r"^\| `(\w+)` \| `(.+)` \|$", text, flags=re.M))
    assert {kind: tuple(json.loads(options)) for kind, options in reported.items()} == {
        technique.name: tuple(technique.default_options()) for technique in TECHNIQUES
    }


def test_every_technique_is_told_with_its_paper() -> None:
    page = ROOT / "docs" / "techniques.md"
    text, names = page.read_text(), named(page)
    for row in techniques().rows:
        name = row["name"].removeprefix("...")
        if not re.search(r"[\s,<]", name):
            assert name in names, f"{row['kind']} {name}"
        assert row["kind"] in names
        assert row["link"] in text, f"{row['kind']} {name}: {row['link']}"


@pytest.mark.filterwarnings("ignore")  # fvcore traces with torch.jit, which says it is deprecated
@pytest.mark.parametrize(
    ("column", "model", "classes", "size"), [(0, "resnet20", 10, 32), (1, "resnet18", 1000, 224)]
)
def test_other_tools_count_what_the_page_of_costs_says(
    column: int, model: str, classes: int, size: int
) -> None:
    from fvcore.nn import FlopCountAnalysis  # here, where its warnings are ignored

    rows = sections(ROOT / "docs" / "costs.md")["What others count"].splitlines()
    cells = [[cell.strip() for cell in row.strip("| ").split("|")] for row in rows if "," in row]
    data = {cell[0]: int(cell[2 + column].replace(",", "")) for cell in cells if len(cell) == 4}
    network, image = build_model(model, classes, 3).eval(), torch.zeros(1, 3, size, size)
    with FlopCounterMode(display=False) as counter:
        network(image)
    fvcore = FlopCountAnalysis(network, image).unsupported_ops_warnings(False)
    pruning, _ = torch_pruning.utils.count_ops_and_params(network, image)
    assert data["torch `FlopCounterMode`"] == counter.get_total_flops()
    assert data["fvcore `FlopCountAnalysis`"] == fvcore.total()
    assert data["Torch-Pruning `count_ops_and_params`"] == pruning
    assert data["Paredown"] == measure(network, image).flops
