"""`paredown search`: run a study, or show its space."""

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
        str | None, typer.Argument(help="A ready study or a TOML file.", show_default="digits")
    ] = None,
    max_drop: MaxDrop = None,
    trials: Annotated[int | None, typer.Option(help="How many plans to train.")] = None,
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="End the search after 90s, 30m, 2h.")
    ] = None,
    stall: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Give up a plan that makes no step for so long.",
            show_default="10m",
        ),
    ] = None,
    start: Annotated[
        list[str] | None,
        typer.Option(metavar="PLAN", help="Try first: approach:13 or a plan's .json; repeatable."),
    ] = None,
    granularity: Annotated[
        str | None,
        typer.Option(
            metavar="stage|site|network",
            help="Granularity of choices; prune=network for one technique.",
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Leave layers as they are: fc, 'layer4*'; repeatable."),
    ] = None,
    sampler: Annotated[str | None, typer.Option(help="budget, tpe, nsga2, gp or random.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Random seed for sampling, weight init and data order.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Study name; run again with the same name to resume.")
    ] = None,
    storage: Storage = None,
    model: Annotated[
        str | None, typer.Option(help="See `paredown models`; timm:NAME; or file.py:function.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="digits, cifar10 and other sets; a folder; or file.py:function."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="The baseline's weights: safetensors or a state dict.")
    ] = None,
    trained: Annotated[
        bool, typer.Option("--trained", help="Your function returns the network with its weights.")
    ] = False,
    balanced: Annotated[
        bool, typer.Option("--balanced", help="Accuracy is the mean over classes, not images.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try plans again that failed in earlier runs.")
    ] = False,
    as_json: Json = False,
    dry_run: Annotated[bool, typer.Option(help="Show the space and train nothing.")] = False,
) -> None:
    """Search for plans that keep within the budgets; go on if the study is there already."""
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
        stderr().print("interrupted; the same command goes on from here")
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
        (f"paredown best {summary.address} --max-drop 1.5", "another budget, at once"),
        (f"paredown report {summary.address}", "all of it on one page, with pictures"),
        (f"paredown export {summary.address}", "the first budget's winner, as files that run"),
        (f"paredown dashboard {summary.address}", "browse all trials"),
        (_again(trained if trained > trials else None), "go on searching"),
    ):
        console.print(
            f"  [cyan]{escape(command):<44}[/] {description}", highlight=False, soft_wrap=True
        )


def _again(trials: int | None) -> str:
    """The command as it was typed, with another number of trials if there is one."""
    typed = sys.argv[1:]
    if trials is None:
        return shlex.join(["paredown", *typed])
    remaining = [
        word
        for before, word in zip(["", *typed], typed, strict=False)
        if before != "--trials" and not word.startswith("--trials")
    ]
    return shlex.join(["paredown", *remaining, "--trials", str(trials)])
