"""`paredown export`: a winner as model files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from .common import OneBudget, Storage, StudyName, one_budget, opened, print_json, stderr, stdout

if TYPE_CHECKING:
    from ..export.exporting import Exported


def export(
    name: StudyName,
    max_drop: OneBudget = None,
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="LIST",
            help="Formats, comma-separated: onnx,pt2,executorch,safetensors.",
            show_default="all installed",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Output folder (created).", show_default="NAME-PPpp"),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite another exported model.")
    ] = False,
    licence: Annotated[
        str | None, typer.Option(help="Licence on the model card, such as MIT.")
    ] = None,
    latency_command: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            help="Command that prints a file's latency in milliseconds, run without a shell: "
            "'ssh phone bench {file}'.",
        ),
    ] = None,
    storage: Storage = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the manifest and nothing else.")
    ] = False,
) -> None:
    """Export a budget's winner as model files, each checked in its runtime."""
    from ...objectives.training.cache import Cache
    from ..export.exporting import export as run
    from ..export.formats import installed_formats, parse_formats
    from ..terminal.live import Screen

    wanted = installed_formats() if formats is None else parse_formats(formats)
    study, url = opened(name, storage)
    budget = one_budget(study, max_drop)
    folder = Path(f"{name}-{budget.max_drop:g}pp") if output is None else output
    screen = Screen(stderr())
    try:
        done = run(
            study,
            url,
            budget,
            wanted,
            folder,
            force=force,
            licence=licence,
            latency_command=latency_command,
            cache=Cache(),
            progress=screen,
        )
    finally:
        screen.finished()
    if as_json:
        print_json(done.manifest)
    else:
        _show(done)


def _show(done: "Exported") -> None:
    from ..export.file_table import export_table

    console = stdout()
    data, test = done.manifest, done.manifest["accuracy"]["test"]
    console.print(export_table(done.checked))
    console.print(
        f"Test split: {test['accuracy']:.2f} %, drop {test['drop']:+.2f} pp, at most "
        f"{test['upper_bound']:+.2f} with 95 % confidence: [bold]{data['certainty']}[/] for "
        f"{data['max_drop']:g} pp",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"Exported to [bold]{escape(str(done.folder))}[/]", soft_wrap=True)
    console.print("Next:", style="bold")
    first = done.folder / next(iter(done.checked))
    for command, subject in (
        (f"less {done.folder / 'MODEL_CARD.md'}", "the model card: results and how to run it"),
        (f"paredown evaluate {first} --data FOLDER", "score the file on your own images"),
    ):
        console.print(
            f"  [cyan]{escape(command):<56}[/] {subject}", highlight=False, soft_wrap=True
        )
