"""The command line interface `paredown`; each command is a file in commands/."""

import signal
import sys
from typing import Annotated

import typer
from rich.markup import escape

from ..errors import ParedownError
from ..version import __version__
from .commands.ablate import ablate
from .commands.best import best
from .commands.common import INTERRUPTED, stderr
from .commands.count import count
from .commands.dashboard import dashboard
from .commands.doctor import doctor
from .commands.evaluate import evaluate
from .commands.export import export
from .commands.list_choices import models, studies, techniques
from .commands.report import report
from .commands.search import search

app = typer.Typer(
    name="paredown",
    help="Compress CNN image classifiers within an accuracy budget.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

for command in (
    search,
    best,
    ablate,
    report,
    export,
    evaluate,
    count,
    dashboard,
    doctor,
    techniques,
    models,
    studies,
):
    app.command()(command)


def main() -> None:
    """Run the command; a `ParedownError` ends it with one message and its exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app()
    except ParedownError as error:
        stderr().print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        stderr().print("Interrupted.")
        sys.exit(INTERRUPTED)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
