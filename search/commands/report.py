"""`paredown report`: a study as one HTML page."""

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ...lazy_imports import paused_gc
from .common import MaxDrop, Storage, StudyName, opened, stdout


def report(
    name: StudyName,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Output file.", show_default="NAME-report.html"
        ),
    ] = None,
    max_drop: MaxDrop = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite a file that is not a report.")
    ] = False,
    storage: Storage = None,
) -> None:
    """Write a study as one self-contained HTML page with figures."""
    from ...objectives.accuracy.budget import parse_budgets

    with paused_gc():
        from ..report.making import make_report

    budgets = parse_budgets(max_drop) if max_drop else ()
    study, _ = opened(name, storage)
    plain = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "study"
    path = Path(f"{plain}-report.html") if output is None else output
    written = make_report(study, path, budgets=budgets, storage=storage, force=force)
    console = stdout()
    size = written.stat().st_size / 1e6
    console.print(
        f"[bold]{escape(str(written))}[/]  {size:.1f} MB", highlight=False, soft_wrap=True
    )
    console.print("Next:", style="bold")
    console.print(
        f"  [cyan]{escape(written.resolve().as_uri())}[/]  open in a browser",
        highlight=False,
        soft_wrap=True,
    )
