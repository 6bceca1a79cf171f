"""Options, consoles and output functions that the commands share."""

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ...errors import NothingFits
from ...lazy_imports import paused_gc

if TYPE_CHECKING:
    import optuna

    from ...objectives.accuracy.budget import Budget
    from ..results.summary import StudySummary

STARTED = time.monotonic()
"""When the command started: time limits count from here, imports included."""

INTERRUPTED = 130
"""The exit code after an interruption by the user."""

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
MaxDrop = Annotated[
    list[float] | None,
    typer.Option(
        "--max-drop",
        metavar="PP",
        help="Accuracy budget: largest allowed drop, in percentage points; repeatable.",
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Storage of studies, as an SQLAlchemy URL.",
        show_default="sqlite:///paredown.db",
    ),
]
OneBudget = Annotated[
    float | None,
    typer.Option(
        metavar="PP", help="Budget whose winner to use.", show_default="the study's first budget"
    ),
]
StudyName = Annotated[str, typer.Argument(help="Study name.")]


def opened(name: str, storage: str | None) -> tuple["optuna.Study", str]:
    """Open an existing study; return it and the URL of its storage.

    Raises:
        StorageError: the storage cannot be opened.
        UnknownName: the storage has no such study.
    """
    with paused_gc():  # opening a storage imports most of SQLAlchemy
        from ..study.storage import default_storage, open_storage, open_study

        url = default_storage() if storage is None else storage
        opened_storage = open_storage(url, must_exist=True)
    return open_study(opened_storage, url, name), url


def one_budget(study: "optuna.Study", max_drop: float | None) -> "Budget":
    """The budget of `--max-drop`, by default the study's first.

    Raises:
        InputError: the value is not a valid budget.
    """
    from ...objectives.accuracy.budget import parse_budgets
    from ..study.attributes import BUDGETS

    (budget,) = parse_budgets([study.user_attrs[BUDGETS][0] if max_drop is None else max_drop])
    return budget


def say(summary: "StudySummary", as_json: bool) -> None:
    """Print a summary, as tables or JSON."""
    if as_json:
        print_json(summary.to_dict())
        return
    from ..terminal.tables import print_summary

    print_summary(stdout(), summary)


def require_winners(summary: "StudySummary") -> None:
    """Validate that every budget has a winner.

    Raises:
        NothingFits: a budget has none; the message says what to relax.
    """
    if summary.misses:
        from ..results.advice import advice

        raise NothingFits(advice(summary))


def print_json(data: Mapping[str, Any]) -> None:
    """Print one JSON object."""
    print(json.dumps(data, indent=2))


def stdout() -> Console:
    """The console for results."""
    return Console()


def stderr() -> Console:
    """The console for progress, warnings and errors."""
    return Console(stderr=True)
