"""What was seen of exported files, as a table."""

from collections.abc import Mapping

from rich.table import Table

from ..tables import plain_table
from .checking import Checked

_TITLE = "Each file run in its own runtime; was: the baseline's file"


def export_table(checked: Mapping[str, Checked]) -> Table:
    """One row for each file, the baseline's figures in the same format beside its own."""
    table = plain_table(
        "file", ">kB", ">was", ">ms", ">was", ">search", ">test", ">same", title=_TITLE
    )
    for name, one in checked.items():
        table.add_row(
            name,
            f"{one.bytes / 1000:,.1f}",
            f"{one.baseline_bytes / 1000:,.1f}",
            f"{one.milliseconds:.2f}",
            f"{one.baseline_milliseconds:.2f}",
            f"{one.accuracy['search']:.2f} %",
            f"{one.accuracy['test']:.2f} %",
            f"{one.agreement:.1f} %",
        )
    return table
