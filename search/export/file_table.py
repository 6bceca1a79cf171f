"""The table of exported files."""

from collections.abc import Mapping

from rich.table import Table

from ..terminal.tables import plain_table
from .checking import Checked

_TITLE = "Exported files, each run in its own runtime; baseline: the baseline in the same format"


def export_table(checked: Mapping[str, Checked]) -> Table:
    """One row per file, with the baseline's figures in the same format."""
    table = plain_table(
        "file",
        ">kB",
        ">baseline",
        ">ms",
        ">baseline",
        ">search %",
        ">test %",
        ">same",
        title=_TITLE,
    )
    table.columns[0].min_width = len("model.safetensors")
    device = any(check.device_milliseconds is not None for check in checked.values())
    for heading in ("device", "baseline") if device else ():
        table.add_column(heading, justify="right")
    for name, check in checked.items():
        table.add_row(
            name,
            f"{check.bytes / 1000:,.1f}",
            f"{check.baseline_bytes / 1000:,.1f}",
            f"{check.milliseconds:.2f}",
            f"{check.baseline_milliseconds:.2f}",
            f"{check.accuracy['search']:.2f}",
            f"{check.accuracy['test']:.2f}",
            f"{check.agreement:.1f} %",
            *_device(check, device),
        )
    return table


def _device(check: Checked, wanted: bool) -> list[str]:
    """Latencies on the user's device, if there is a latency command."""
    figures = (check.device_milliseconds, check.baseline_device_milliseconds)
    return [f"{figure:.2f} ms" for figure in figures if figure is not None] if wanted else []
