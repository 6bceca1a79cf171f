"""The words of the code and of its command: the field's, and none of a dialect that was given
up."""

import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import paredown
import pytest
from paredown.search.cli import app
from typer.testing import CliRunner

ROOT = Path(paredown.__file__).parent

GIVEN_UP = re.compile(
    r"\w*foret(?:ell|old)\w*"
    r"|(?:\w*_)?told(?:_\w*)?"
    r"|_?(?:kept|said|found|one|verdicts?|hopeless|rung|judge|watchers?|left_alone|landmarks)"
    r"|Kind|Hopeless|How|Judge|LeftAlone|Rung|Surroundings|Verdict|Watcher"
)
"""Names that stand for something that has a name in the field; see the table in CHANGELOG.md."""

OPAQUE_HELP = re.compile(r"\b(?:Of the study\.|Of a study|Of everything|Whose winner|To write\.)")


def sources() -> list[Path]:
    """The package and its benchmarks, without tests."""
    files = (path.relative_to(ROOT) for path in sorted(ROOT.rglob("*.py")))
    return [path for path in files if path.parts[0] not in ("tests", "build")]


def names(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name, of a file; names of modules in imports are left out."""
    with (ROOT / path).open(encoding="utf-8") as file:
        for token in tokenize.generate_tokens(file.readline):
            is_import = re.match(r"\s*(?:from|import) ", token.line)
            if token.type == tokenize.NAME and not is_import:
                yield token.start[0], token.string


def commands() -> list[str]:
    """The commands of `paredown`."""
    every = [(command.name, command.callback) for command in app.registered_commands]
    return [name or (callback.__name__ if callback else "") for name, callback in every]


def test_names_are_the_field_s() -> None:
    found = [
        f"{path}:{line}: {name}"
        for path in sources()
        for line, name in names(path)
        if GIVEN_UP.fullmatch(name)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("command", ["", *commands()])
def test_help_is_in_plain_sentences(command: str) -> None:
    words = [command, "--help"] if command else ["--help"]
    shown = CliRunner().invoke(app, words, env={"COLUMNS": "300", "NO_COLOR": "1"})
    assert shown.exit_code == 0
    assert not OPAQUE_HELP.findall(shown.output)
    assert "foret" not in shown.output
