"""What there is to choose from: techniques, models and studies, as tables or JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..study.config_file import ready_studies
from .tables import plain_table

if TYPE_CHECKING:
    from ...spaces.technique import Kind, Technique

_NAME = 20


@dataclass(frozen=True)
class Listing:
    """Rows, and which of their columns a terminal has room for; the JSON has all."""

    headings: tuple[str, ...]
    rows: Sequence[dict[str, str]]

    def table(self) -> Table:
        """The listing for a terminal."""
        table = plain_table(*self.headings)
        for row in self.rows:
            table.add_row(*(row[heading] for heading in self.headings))
        return table


@dataclass(frozen=True)
class Techniques:
    """Every technique, by the kind of choice that it is an option of."""

    kinds: Sequence[Kind]

    @property
    def rows(self) -> Sequence[dict[str, str]]:
        return [
            {"kind": kind.name} | asdict(technique)
            for kind in self.kinds
            for technique in kind.techniques()
        ]

    def table(self) -> RenderableType:
        """The listing for a terminal."""
        return Group(*(part for kind in self.kinds for part in self._kind(kind)))

    def _kind(self, kind: Kind) -> Iterator[RenderableType]:
        yield Text.assemble((kind.name, "bold"), f": {kind.title}")
        table = Table.grid(padding=(0, 2))
        table.add_column(min_width=_NAME, max_width=_NAME, overflow="fold")
        table.add_column()
        for technique in kind.techniques():
            said = Text(technique.title)
            if technique.paper:
                said.append(f" ({technique.paper})", style="dim")
            if effect := _effect(technique):
                said.append(f"\n{effect}", style="dim")
            table.add_row(Text(technique.name, style="cyan"), said)
        yield Padding(table, (0, 0, 1, 2))


def _effect(technique: Technique) -> str:
    """What it replaces and saves, in a line; empty if neither is anything."""
    parts = []
    if technique.replaces != "nothing":
        parts.append(f"replaces {technique.replaces}")
    if technique.saves.startswith("costs"):
        parts.append(technique.saves)
    elif technique.saves != "nothing":
        parts.append(f"saves {technique.saves}")
    if technique.extra:
        parts.append(f"needs pip install 'paredown[{technique.extra}]'")
    return "; ".join(parts)


def techniques() -> Techniques:
    """Every technique there is."""
    from ...spaces.techniques import KINDS

    return Techniques(tuple(KINDS))


def models() -> Listing:
    """Every model that can be built by name."""
    from ...spaces.models import MODELS

    images = {None: "grey or RGB", 1: "grey", 3: "RGB"}
    rows = [
        {
            "name": model.name,
            "title": model.title,
            "images": images[model.channels],
            "paper": model.paper,
            "link": model.link,
        }
        for model in MODELS
    ]
    return Listing(("name", "title", "images", "paper"), rows)


def studies() -> Listing:
    """Every study that comes with Paredown."""
    rows = [{"name": name, "title": title} for name, title in ready_studies().items()]
    return Listing(("name", "title"), rows)
