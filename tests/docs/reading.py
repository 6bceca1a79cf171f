"""What a page of the docs holds: its blocks in order, its commands, its links.

How pages are read, which is all that whoever writes one has to know:

- A block of `sh` holds commands; of `console`, commands behind `$ ` and what they print, which is
  compared line by line, white space and rules apart, `...` standing for what was left out. A block
  of no language holds what a longer search printed, and is not compared.
- A block of `python` is run, all of a page in one namespace, in which `net`, `train` and `test` are
  a network and datasets.
- A block of `toml` is a study file; one without `model` is laid over the study `digits`; one with
  `project` is a pyproject.toml.
- A block whose first line is a comment with the name of a file, as in `# nets.py`, is written to
  that file and not run. So is one behind `<!-- file: plan.json -->`, and one of `python` or `toml`
  behind a paragraph that begins with a file in code marks.
- A block behind `<!-- not run: REASON -->` is not run. Its commands are still looked up.
- In a table, a cell that begins with a command in code marks holds commands. Words in capitals
  stand for something (`STANDS_FOR`), and what is in square brackets is left out.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

STANDS_FOR = {
    "NAME": "digits",
    "MODEL": "resnet20",
    "FILE": "digits-1pp/model.safetensors",
    "FOLDER": "digits-1pp",
    "PLAN": "plan.json",
    "STUDY": "digits",
    "DATA": "digits",
    "PP": "1",
}
"""What the words in capitals of commands in tables are when they are run."""

_FENCE = re.compile(r"^( *)```(\w*)\s*$")
_NOT_RUN = re.compile(r"<!-- not run: (.+?) -->")
_FILE = re.compile(r"<!-- file: (\S+) -->")
_NAMED = re.compile(r"^# ([\w./-]+\.\w+)$")
_TOLD = re.compile(r"^`([\w./-]+\.\w+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`]+)`")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """A command, and what it is to print; None if the page does not say."""

    words: tuple[str, ...]
    line: int
    prints: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: as behind the fence.
        text: without the fences.
        line: of its first line in the page.
        not_run: why it is not run; empty if it is.
        file: where it is to be written; empty if it is not.
    """

    language: str
    text: str
    line: int
    not_run: str = ""
    file: str = ""

    def commands(self) -> list[Command]:
        """The commands of a block of `sh` or `console`."""
        if self.language == "console":
            return list(self._said())
        joined = self.text.replace("\\\n", " ")
        return [item for line in joined.splitlines() for item in _split(line, self.line)]

    def _said(self) -> Iterator[Command]:
        command, prints = None, list[str]()
        for line in [*self.text.splitlines(), "$ "]:
            if not line.startswith("$ "):
                prints.append(line)
                continue
            if command:
                yield replace(command, prints=tuple(prints) if prints else None)
            command, prints = next(iter(_split(line[2:], self.line)), None), []


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, and the commands in its tables as blocks of `sh`."""
    results, lines = list[Block](), page.read_text(encoding="utf-8").splitlines()
    number, paragraph = 0, list[str]()
    while number < len(lines):
        line = lines[number]
        if fence := _FENCE.match(line):
            end = lines.index(f"{fence[1]}```", number + 1)
            inside = [name.removeprefix(fence[1]) for name in lines[number + 1 : end]]
            results.append(_block(fence[2], inside, number + 2, paragraph))
            number, line, paragraph = end, "", []
        elif line.startswith("| `paredown"):
            results.append(Block("sh", _row(line), number + 1))
        if line.strip():
            paragraph = [line] if not lines[number - 1].strip() else [*paragraph, line]
        number += 1
    return results


def _block(language: str, lines: list[str], line: int, paragraph: list[str]) -> Block:
    """A block with these lines, behind the paragraph that was read last."""
    first, last = (paragraph[0], paragraph[-1]) if paragraph else ("", "")
    not_run, file = _NOT_RUN.search(last), _FILE.search(last)
    if not file and lines and language in ("python", "toml"):
        file = _NAMED.match(lines[0]) or _TOLD.match(first)
    name = file[1] if file else ""
    return Block(language, "\n".join(lines) + "\n", line, not_run[1] if not_run else "", name)


def _row(line: str) -> str:
    """The commands of a table's first cell: `paredown techniques`, `models` are two of them."""
    cell = line.strip("| ").split(" | ")[0].replace("\\|", "|")
    commands = [code.strip() for code in _CODE.findall(cell)]
    whole = (item if item.startswith("paredown") else f"paredown {item}" for item in commands)
    return "\n".join(concrete(item) for item in whole)


def concrete(command: str) -> str:
    """A command without what may be left out, its words in capitals replaced."""
    remaining = re.sub(r"\s*\[[^\]]*\]", "", command)
    return re.sub(r"\b[A-Z]{2,}\b", lambda word: STANDS_FOR.get(word[0], word[0]), remaining)


def _split(line: str, number: int) -> Iterator[Command]:
    words = list[str]()
    for word in [*shlex.split(line, comments=True), "&&"]:
        if word != "&&":
            words.append(word)
        elif words:
            yield Command(tuple(words), number)
            words = []


def mentioned(page: Path) -> set[str]:
    """Commands in the running text of a page, as they stand there."""
    spans = (re.sub(r"\s+", " ", code) for code in _CODE.findall(_prose(page)))
    return {code for code in spans if code.startswith(("paredown ", "python "))}


def _prose(page: Path) -> str:
    """A page without its blocks."""
    text = page.read_text(encoding="utf-8")
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.M | re.S)


def links(page: Path) -> set[str]:
    """What a page links to and shows, addresses of the web left out."""
    results = _LINK.findall(page.read_text(encoding="utf-8"))
    return {link for link in results if not re.match(r"[a-z]+:", link)}


def anchors(page: Path) -> set[str]:
    """What a link to a heading of a page may say behind its #."""
    headings = _HEADING.findall(page.read_text(encoding="utf-8"))
    remaining = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in remaining}


def named(page: Path) -> set[str]:
    """Everything that stands in code marks in a page, whole and word by word."""
    spans = _CODE.findall(_prose(page))
    return set(spans) | {word for span in spans for word in re.split(r"[\s,=]+", span)}
