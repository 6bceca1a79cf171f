"""Listings of techniques, models and studies, as tables or JSON."""

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
    from ...spaces.technique import Technique, TechniqueInfo

_NAME = 20


@dataclass(frozen=True)
class Listing:
    """Rows, and the columns that the terminal table shows; the JSON has all columns."""

    headings: tuple[str, ...]
    rows: Sequence[dict[str, str]]

    def table(self) -> Table:
        """The listing as a terminal table."""
        table = plain_table(*self.headings)
        for row in self.rows:
            table.add_row(*(row[heading] for heading in self.headings))
        return table


@dataclass(frozen=True)
class Techniques:
    """Every option of every technique."""

    techniques: Sequence[Technique]

    @property
    def rows(self) -> Sequence[dict[str, str]]:
        return [
            {"technique": technique.name} | asdict(info)
            for technique in self.techniques
            for info in technique.infos()
        ]

    def table(self) -> RenderableType:
        """The listing as terminal tables, one per technique."""
        return Group(
            *(part for technique in self.techniques for part in self._technique_rows(technique))
        )

    def _technique_rows(self, technique: Technique) -> Iterator[RenderableType]:
        yield Text.assemble((technique.name, "bold"), f": {technique.title}")
        table = Table.grid(padding=(0, 2))
        table.add_column(min_width=_NAME, max_width=_NAME, overflow="fold")
        table.add_column()
        for info in technique.infos():
            text = Text(info.title)
            if info.paper:
                text.append(f" ({info.paper})", style="dim")
            if effect := _effect(info):
                text.append(f"\n{effect}", style="dim")
            table.add_row(Text(info.name, style="cyan"), text)
        yield Padding(table, (0, 0, 1, 2))


def _effect(info: TechniqueInfo) -> str:
    """What an option replaces, saves and requires, in one line; may be empty."""
    parts = []
    if info.replaces != "nothing":
        parts.append(f"replaces {info.replaces}")
    if info.saves.startswith("costs"):
        parts.append(info.saves)
    elif info.saves != "nothing":
        parts.append(f"saves {info.saves}")
    if info.extra:
        parts.append(f"needs pip install 'paredown[{info.extra}]'")
    return "; ".join(parts)


def techniques() -> Techniques:
    """List every technique."""
    from ...spaces.techniques import TECHNIQUES

    return Techniques(tuple(TECHNIQUES))


def models() -> Listing:
    """List every model that can be built by name."""
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
    """List every built-in study."""
    rows = [{"name": name, "title": title} for name, title in ready_studies().items()]
    return Listing(("name", "title"), rows)
