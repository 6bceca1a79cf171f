"""`paredown search`: run a study, or show its search space."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from .common import (
    INTERRUPTED,
    STARTED,
    Json,
    MaxDrop,
    Storage,
    print_json,
    require_winners,
    say,
    stderr,
    stdout,
)

if TYPE_CHECKING:
    from ..results.summary import StudySummary
    from ..study.config import StudyConfig


def search(
    study: Annotated[
        str | None,
        typer.Argument(help="Name of a built-in study, or a TOML file.", show_default="digits"),
    ] = None,
    max_drop: MaxDrop = None,
    trials: Annotated[int | None, typer.Option(help="Number of plans to train.")] = None,
    timeout: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Time limit of the search: 90s, 30m, 2h, 1h30m."),
    ] = None,
    stall: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Fail a plan that makes no progress for this long.",
            show_default="10m",
        ),
    ] = None,
    start: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PLAN",
            help="Plan to evaluate first: approach:13 or a .json file; repeatable.",
        ),
    ] = None,
    granularity: Annotated[
        str | None,
        typer.Option(
            metavar="stage|site|network",
            help="Granularity of the search space; prune=network sets it for one technique.",
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Layers to leave unchanged: fc, 'layer4*'; repeatable."),
    ] = None,
    sampler: Annotated[
        str | None, typer.Option(help="Sampler: budget, tpe, nsga2, gp or random.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Random seed for sampling, weight init and data order.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Study name; run again with the same name to resume.")
    ] = None,
    storage: Storage = None,
    model: Annotated[
        str | None,
        typer.Option(help="A name of `paredown models`, timm:NAME or file.py:function."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Name of a data set (digits, cifar10, ...), a folder of images, or "
            "file.py:function."
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Weights of the baseline: a safetensors or state_dict file."),
    ] = None,
    trained: Annotated[
        bool, typer.Option("--trained", help="The model function returns a trained network.")
    ] = False,
    balanced: Annotated[
        bool, typer.Option("--balanced", help="Score the mean accuracy over classes, not images.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Retry plans that failed in earlier runs.")
    ] = False,
    as_json: Json = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the search space; train and write nothing.")
    ] = False,
) -> None:
    """Search for the cheapest plans within each budget; resume the study if it exists."""
    from ..study.config import load_config

    config = load_config(
        study,
        {
            "max_drop": max_drop or None,
            "trials": trials,
            "timeout": timeout,
            "stall": stall,
            "start": start or None,
            "granularity": granularity,
            "keep": keep or None,
            "sampler": sampler,
            "seed": seed,
            "name": name,
            "model": model,
            "data": data,
            "weights": weights,
            "trained": trained or None,
            "balanced": balanced or None,
        },
    )
    if dry_run:
        _preview(config, as_json)
    else:
        _run(config, storage, as_json, retry_failed=retry_failed)


def _run(config: "StudyConfig", storage: str | None, as_json: bool, *, retry_failed: bool) -> None:
    import optuna

    from ...objectives.training.cache import Cache
    from ..dashboard.notes import describe_study
    from ..results.summary import summarize
    from ..runner.run_study import search as run
    from ..study.storage import default_storage, has_baseline
    from ..terminal.live import Screen

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    console = stderr() if as_json else stdout()
    finished = run(
        config,
        default_storage() if storage is None else storage,
        Cache(),
        Screen(console),
        began=STARTED,
        retry_failed=retry_failed,
        describe=describe_study,
    )
    if finished.out_of_time:
        stderr().print("The time limit was reached. Run the same command to resume.")
    if finished.interrupted:
        stderr().print("Interrupted. Run the same command to resume.")
        if not has_baseline(finished.study):
            raise typer.Exit(INTERRUPTED)
    summary = summarize(finished.study, config.max_drop, storage, finished.seconds)
    say(summary, as_json)
    if finished.interrupted:
        raise typer.Exit(INTERRUPTED)
    if not as_json and len(summary.misses) < len(summary.results):
        _next_steps(summary, config.trials)
    require_winners(summary)


def _preview(config: "StudyConfig", as_json: bool) -> None:
    from ..runner.run_study import prepare
    from ..study.splits_record import DataSplits
    from ..terminal.preview import Preview
    from ..terminal.tables import cost_table, skipped_table, space_table

    task, space = prepare(config)
    splits, preview = DataSplits.of(task), Preview(space, config.seed, config.objectives)
    if as_json:
        data = {"study": config.name, "model": task.made_by.name, "images": splits.counts()}
        print_json(data | preview.to_dict())
        return
    console = stdout()
    title = escape(f"{task.made_by.name} on {task.splits.name}")
    console.print(f"[bold]{escape(config.name)}[/]: {title}, {splits.text}", soft_wrap=True)
    console.print(space_table(space))
    console.print(f"{space.size:,} plans", highlight=False)
    plans = [(name, preview.cost(plan)) for name, plan in preview.plans]
    console.print(cost_table([("baseline", preview.baseline), *plans]))
    for name, plan in preview.plans:
        console.print(f"[bold]{name}[/]: {plan.describe()}", highlight=False)
    if space.skipped:
        console.print(skipped_table(space.skipped))


def _next_steps(summary: "StudySummary", trials: int) -> None:
    from ..study.trial_record import count_trained

    console, trained = stdout(), 2 * count_trained(summary.records)
    console.print("Next:", style="bold")
    for command, description in (
        (f"paredown best {summary.address} --max-drop 1.5", "show another budget's winner"),
        (f"paredown report {summary.address}", "write the study as one HTML page"),
        (f"paredown export {summary.address}", "export the first budget's winner"),
        (f"paredown dashboard {summary.address}", "browse all trials"),
        (_resume_command(trained if trained > trials else None), "continue the search"),
    ):
        console.print(
            f"  [cyan]{escape(command):<44}[/] {description}", highlight=False, soft_wrap=True
        )


def _resume_command(trials: int | None) -> str:
    """The command as it was typed, with another number of trials if given."""
    typed = sys.argv[1:]
    if trials is None:
        return shlex.join(["paredown", *typed])
    remaining = [
        word
        for before, word in zip(["", *typed], typed, strict=False)
        if before != "--trials" and not word.startswith("--trials")
    ]
    return shlex.join(["paredown", *remaining, "--trials", str(trials)])
