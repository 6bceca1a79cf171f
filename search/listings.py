"""What there is to choose from: techniques, models and studies, as tables or JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.table import Table

from ..spaces.kinds import KINDS
from ..spaces.models import MODELS
from .config import ready_studies
from .tables import plain_table


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


def techniques() -> Listing:
    """Every technique, by the kind of choice that it is an option of."""
    rows = [
        {"kind": kind.name} | asdict(technique) for kind in KINDS for technique in kind.techniques()
    ]
    return Listing(("kind", "name", "title", "replaces", "saves", "paper"), rows)


def models() -> Listing:
    """Every model that can be built by name."""
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
