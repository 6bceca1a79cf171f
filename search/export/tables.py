"""What was seen of exported files, as a table."""

from collections.abc import Mapping

from rich.table import Table

from .checking import Checked


def export_table(checked: Mapping[str, Checked]) -> Table:
    """One row for each file, the baseline's figures in the same format beside its own."""
    table = Table(title="Files, each run in its own runtime", title_justify="left")
    table.add_column("file")
    for name in ("kB", "baseline kB", "ms", "baseline ms", "search %", "test %", "same answers"):
        table.add_column(name, justify="right")
    for name, one in checked.items():
        table.add_row(
            name,
            f"{one.bytes / 1000:,.1f}",
            f"{one.baseline_bytes / 1000:,.1f}",
            f"{one.milliseconds:.2f}",
            f"{one.baseline_milliseconds:.2f}",
            f"{one.accuracy['search']:.2f}",
            f"{one.accuracy['test']:.2f}",
            f"{one.agreement:.1f} %",
        )
    return table
