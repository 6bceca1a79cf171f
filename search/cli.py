"""The command. Heavy imports wait inside the commands, so that --help answers at once."""

import json
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from .. import __version__
from ..errors import NothingFits, ParedownError
from .export.commands import Storage, evaluate, export

if TYPE_CHECKING:
    from .answers import Answer
    from .config import StudyConfig

_INTERRUPTED = 130

app = typer.Typer(
    name="paredown",
    help="Pare a CNN image classifier down to what an accuracy budget allows.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
MaxDrop = Annotated[
    list[float] | None,
    typer.Option("--max-drop", metavar="PP", help="Points of accuracy to give up; repeatable."),
]


def main() -> None:
    """Entry point: errors that Paredown raises on purpose end in one message and a code."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app()
    except ParedownError as error:
        _stderr().print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _stderr().print("interrupted")
        sys.exit(_INTERRUPTED)


@app.command()
def search(
    study: Annotated[
        str | None, typer.Argument(help="A ready study or a TOML file.", show_default="digits")
    ] = None,
    max_drop: MaxDrop = None,
    trials: Annotated[int | None, typer.Option(help="How many plans to train.")] = None,
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="Start no plan after 90s, 30m, 2h.")
    ] = None,
    start: Annotated[
        list[str] | None,
        typer.Option(metavar="PLAN", help="Try first: approach:13 or a plan's .json; repeatable."),
    ] = None,
    per: Annotated[
        str | None,
        typer.Option(
            metavar="stage|site|network", help="How finely choices are made; prune=network for one."
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Leave layers as they are: fc, 'layer4*'; repeatable."),
    ] = None,
    sampler: Annotated[str | None, typer.Option(help="budget, tpe, nsga2, gp or random.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything that is drawn.")] = None,
    name: Annotated[str | None, typer.Option(help="Of the study, to find it again.")] = None,
    storage: Storage = None,
    model: Annotated[str | None, typer.Option(help="See `paredown models`.")] = None,
    data: Annotated[
        str | None, typer.Option(help="digits, cifar10, cifar100, mnist, fashionmnist or a folder.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="The baseline's weights: safetensors or a state dict.")
    ] = None,
    as_json: Json = False,
    dry_run: Annotated[bool, typer.Option(help="Show the space and train nothing.")] = False,
) -> None:
    """Search for plans that keep within the budgets; go on if the study is there already."""
    from .config import load_config

    config = load_config(
        study,
        {
            "max_drop": max_drop or None,
            "trials": trials,
            "timeout": timeout,
            "start": start or None,
            "per": per,
            "keep": keep or None,
            "sampler": sampler,
            "seed": seed,
            "name": name,
            "model": model,
            "data": data,
            "weights": weights,
        },
    )
    if dry_run:
        _preview(config, as_json)
    else:
        _search(config, storage, as_json)


@app.command()
def best(
    name: Annotated[str, typer.Argument(help="Of the study.")],
    max_drop: MaxDrop = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Say what each budget buys, for the budgets of the study or any others."""
    from ..objectives.budget import parse_budgets
    from .answers import answer
    from .storage import default_storage, open_storage, open_study

    url = default_storage() if storage is None else storage
    budgets = parse_budgets(max_drop) if max_drop else ()
    study = open_study(open_storage(url, must_exist=True), url, name)
    _say(answer(study, budgets, storage), as_json)


app.command()(export)
app.command()(evaluate)


@app.command()
def count(
    model: Annotated[str, typer.Argument(help="See `paredown models`.")],
    plan: Annotated[Path | None, typer.Option(help="A plan as JSON.")] = None,
    approach: Annotated[
        int | None,
        typer.Option(metavar="N", help="A plan of the paper: resnet101 1-15, vgg19 1-13."),
    ] = None,
    classes: Annotated[int, typer.Option(min=2, max=10**6, help="How many classes.")] = 10,
    size: Annotated[
        int, typer.Option(min=1, max=4096, metavar="PX", help="Side of the images.")
    ] = 32,
    as_json: Json = False,
) -> None:
    """Count what a model costs, and what a plan would make of it. Nothing is trained."""
    from .counting import count_model

    counted = count_model(model, plan, approach, classes, size)
    if as_json:
        _print_json(counted.to_dict())
    else:
        counted.print(_stdout())


@app.command()
def dashboard(
    name: Annotated[str | None, typer.Argument(help="Of a study, to open it.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any.")] = 8080,
    storage: Storage = None,
) -> None:
    """Browse studies with optuna-dashboard, on this machine alone."""
    from .dashboard import HOST, make_dashboard
    from .storage import default_storage, open_storage, open_study

    url = default_storage() if storage is None else storage
    opened = open_storage(url, must_exist=True)
    page = f"/studies/{open_study(opened, url, name)._study_id}" if name else ""
    server = make_dashboard(opened, port)
    address = f"http://{HOST}:{server.server_port}/dashboard{page}"
    _stdout().print(f"[bold]{address}[/]  (Ctrl-C ends it)", soft_wrap=True)
    sys.stdout.flush()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


@app.command()
def techniques(as_json: Json = False) -> None:
    """List what can be done to a network."""
    from .listings import techniques as listing

    _list(listing(), as_json)


@app.command()
def models(as_json: Json = False) -> None:
    """List the models that can be pared down by name."""
    from .listings import models as listing

    _list(listing(), as_json)


@app.command()
def studies(as_json: Json = False) -> None:
    """List the studies that come with Paredown."""
    from .listings import studies as listing

    _list(listing(), as_json)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def _search(config: "StudyConfig", storage: str | None, as_json: bool) -> None:
    import optuna

    from ..objectives.cache import Cache
    from .answers import answer
    from .driver import search as run
    from .screen import Screen
    from .storage import default_storage, has_baseline

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    console = _stderr() if as_json else _stdout()
    finished = run(
        config, default_storage() if storage is None else storage, Cache(), Screen(console)
    )
    if finished.interrupted:
        _stderr().print("interrupted; the same command goes on from here")
        if not has_baseline(finished.study):
            raise typer.Exit(_INTERRUPTED)
    found = answer(finished.study, config.max_drop, storage, finished.seconds)
    _say(found, as_json, next_steps=not finished.interrupted, fail=not finished.interrupted)
    if finished.interrupted:
        raise typer.Exit(_INTERRUPTED)


def _preview(config: "StudyConfig", as_json: bool) -> None:
    from .driver import prepare
    from .preview import Preview
    from .tables import cost_table, left_alone_table, space_table

    task, space = prepare(config)
    preview = Preview(space, config.seed)
    if as_json:
        _print_json({"study": config.name, "model": task.model} | preview.to_dict())
        return
    console = _stdout()
    console.print(f"[bold]{escape(config.name)}[/]: {task.model} on {escape(task.splits.name)}")
    console.print(space_table(space))
    console.print(f"{space.size:,} plans", highlight=False)
    plans = [(name, preview.cost(plan)) for name, plan in preview.plans]
    console.print(cost_table([("baseline", preview.baseline), *plans]))
    for name, plan in preview.plans:
        console.print(f"[bold]{name}[/]: {plan.describe()}", highlight=False)
    if space.left_alone:
        console.print(left_alone_table(space.left_alone))


def _say(found: "Answer", as_json: bool, *, next_steps: bool = False, fail: bool = True) -> None:
    """Print an answer, and end with code 3 if a budget got none."""
    if as_json:
        _print_json(found.to_dict())
    else:
        from .tables import print_answer

        print_answer(_stdout(), found)
        if next_steps and len(found.misses) < len(found.verdicts):
            _next_steps(found)
    if found.misses and fail:
        from .advice import advice

        raise NothingFits(advice(found))


def _next_steps(found: "Answer") -> None:
    from .record import count_trained

    console = _stdout()
    console.print("Next:", style="bold")
    for command, what in (
        (f"paredown best {found.address} --max-drop 1.5", "another budget, at once"),
        (f"paredown export {found.address}", "the first budget's winner, as files that run"),
        (f"paredown dashboard {found.address}", "browse all trials"),
        (_again(2 * count_trained(found.records)), "go on searching"),
    ):
        console.print(f"  [cyan]{escape(command):<44}[/] {what}", highlight=False, soft_wrap=True)


def _again(trials: int) -> str:
    """The command as it was typed, with another number of trials."""
    typed = sys.argv[1:]
    kept = [
        word
        for before, word in zip(["", *typed], typed, strict=False)
        if before != "--trials" and not word.startswith("--trials")
    ]
    return shlex.join(["paredown", *kept, "--trials", str(trials)])


def _list(listing: Any, as_json: bool) -> None:
    if as_json:
        _print_json({"rows": list(listing.rows)})
    else:
        _stdout().print(listing.table())


def _print_json(data: dict[str, Any]) -> None:
    print(json.dumps(data, indent=2))


def _stdout() -> Console:
    return Console()


def _stderr() -> Console:
    return Console(stderr=True)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
