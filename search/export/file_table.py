"""What was seen of exported files, as a table."""

from collections.abc import Mapping

from rich.table import Table

from ..terminal.tables import plain_table
from .checking import Checked

_TITLE = "Each file run in its own runtime; was: the baseline's file"


def export_table(checked: Mapping[str, Checked]) -> Table:
    """One row for each file, the baseline's figures in the same format beside its own."""
    table = plain_table(
        "file", ">kB", ">was", ">ms", ">was", ">search %", ">test %", ">same", title=_TITLE
    )
    table.columns[0].min_width = len("model.safetensors")
    device = any(one.device_milliseconds is not None for one in checked.values())
    for heading in ("device", "was") if device else ():
        table.add_column(heading, justify="right")
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
            *_device(one, device),
        )
    return table


def _device(one: Checked, asked: bool) -> list[str]:
    """Milliseconds on the user's device, if they were asked for."""
    figures = (one.device_milliseconds, one.baseline_device_milliseconds)
    return [f"{figure:.2f} ms" for figure in figures if figure is not None] if asked else []
