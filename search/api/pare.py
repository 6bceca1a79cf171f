"""`paredown.pare`: a search from Python, which takes objects as well as names."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict, Unpack

import optuna
from rich.console import Console
from torch import nn

from ...errors import ParedownError, StudyFileError, nearest_names
from ...objectives.data import give_data
from ...objectives.training.cache import Cache
from ...objectives.training.recipe import Recipe
from ...spaces.models import give
from ..dashboard.notes import describe_study
from ..runner.callbacks import Callback
from ..runner.run_study import search as run_search
from ..study.config import StudyConfig, check_config
from ..study.storage import MEMORY, has_baseline
from ..terminal.live import Screen
from .callback_list import CallbackList
from .result import Result

_CALL = "paredown.pare(...)"
_RECIPES = ("baseline", "train", "fine_tune", "quantize")


class Options(TypedDict, total=False):
    """The keys of a study file that `pare` accepts unchanged."""

    imports: Sequence[str]
    objectives: Sequence[str]
    name: str
    seed: int
    timeout: float | str
    stall: float | str
    finalists: int
    sampler: str
    threads: int
    weights: str | Path
    trained: bool
    balanced: bool
    granularity: str | Mapping[str, str]
    keep: Sequence[str]
    start: Sequence[str]
    space: Mapping[str, Sequence[float | str]]


def pare(
    model: nn.Module | Callable[..., nn.Module] | str,
    train: Any,
    test: Any = None,
    *,
    search: Any = None,
    max_drop: float | Sequence[float] = (0.5, 1, 2),
    trials: int = 100,
    images: Mapping[str, Any] | None = None,
    recipes: Mapping[str, Recipe | Mapping[str, Any]] | None = None,
    storage: str | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
    **options: Unpack[Options],
) -> Result:
    """Compress a network within accuracy budgets, as `paredown search` does.

        import paredown

        result = paredown.pare("resnet20", "digits", max_drop=[0.5, 1, 2], trials=60)
        print(result)  # a table of the winners
        winner = result.best(1)  # the cheapest plan with a drop of at most one point
        print(winner.plan.describe(), winner.cost.bytes, winner.test_drop, winner.certainty)
        result.front()  # a pandas DataFrame
        network = result.network(1)  # the winner's torch.nn.Module
        result.export("digits-1pp", max_drop=1)  # model files
        result.report("digits.html")  # the study as one HTML page

    The caller's objects and settings are not changed: the network is copied, and random states and
    torch's settings are restored. Trained networks are cached, in the cache of the command, so that
    a second call with the same arguments is fast.

    Ctrl-C, or a notebook's stop button, ends the search; the result so far is returned, with
    `interrupted` set. Before the baseline is scored, KeyboardInterrupt is raised instead.

    Args:
        model: a network, assumed to be trained unless `trained=False`; a function that returns a
            network; or a name, as in `paredown search --model`. It maps [batch, channels, height,
            width] to [batch, classes], and may be on any device.
        train: a torch Dataset of (image, label); or the name of a data set or a folder of images,
            which have their own test split.
        test: a Dataset of other images, on which each winner is scored once; by default a part of
            `train`.
        search: a Dataset on which plans are scored; by default half of `test` for a trained
            network, which has seen the images of `train`, and else a part of `train`.
        max_drop: the budgets, in percentage points.
        trials: number of plans to train.
        images: keys of the [data] table of a study file: size, channels, mean, std, crop, flip,
            split_seed, search.
        recipes: "baseline", "train", "fine_tune" or "quantize" -> training recipe, as in a study
            file: {"train": {"epochs": 10}}.
        storage: SQLAlchemy URL, as in sqlite:///paredown.db, in which the commands find the study
            by its name, and the same call resumes it. By default the study is in memory, and lives
            as long as the result.
        callbacks: instances of subclasses of `paredown.Callback`; an exception in one ends the
            search.
        progress: show the progress: live on a terminal, as lines in notebooks and files.
        **options: other keys of a study file: name, seed, timeout, stall, finalists, sampler,
            threads, weights, trained, balanced, granularity, keep, start, space, objectives and
            imports.

    Returns:
        The result, even if no plan is feasible; then its `best` raises `NothingFits`.

    Raises:
        StudyFileError: invalid arguments; the message lists all faults by argument.
        InputError: model, data or storage cannot be used together.
        UserCodeError: a callback or a user's function raised.
        TrainingDiverged: the baseline's training diverged.
    """
    config, keep_alive = _config(
        model,
        (train, test, search),
        dict(options) | {"max_drop": max_drop, "trials": trials},
        images or {},
        recipes or {},
    )
    screen = [Screen(_console())] if progress else []
    return _run(config, storage or MEMORY, CallbackList([*screen, *callbacks]), keep_alive)


def _run(config: StudyConfig, url: str, callback: Callback, keep_alive: object) -> Result:
    cache = Cache()
    with _quiet_optuna():
        finished = run_search(config, url, cache, callback, describe=describe_study)
    if finished.interrupted and not has_baseline(finished.study):
        raise KeyboardInterrupt
    return Result(finished, config, url, cache, keep_alive)


def _config(
    model: nn.Module | Callable[..., nn.Module] | str,
    data: Sequence[Any],
    options: dict[str, Any],
    images: Mapping[str, Any],
    recipes: Mapping[str, Recipe | Mapping[str, Any]],
) -> tuple[StudyConfig, list[object]]:
    """The configuration of a call, and the objects to keep alive as long as its result.

    Raises:
        StudyFileError: invalid arguments; the message lists all faults.
    """
    faults, keep_alive, entry = list[str](), list[object](), {"name": "pare", **options}
    known = {name: item for name, item in recipes.items() if name in _RECIPES}
    faults += [
        f"recipes.{name}: no such recipe; {nearest_names(name, _RECIPES)}"
        for name in recipes
        if name not in _RECIPES
    ]
    try:
        entry["model"] = _named_model(model, keep_alive)
        if isinstance(model, nn.Module):
            entry.setdefault("trained", "weights" not in entry)
    except ParedownError as error:
        faults.append(f"model: {error}")
    try:
        entry["data"] = {"source": _named_data(data, keep_alive), **images}
    except ParedownError as error:
        faults.append(f"train: {error}")
    try:
        config = check_config(_CALL, entry | known)
    except StudyFileError as error:
        reported = {"model", "data"} - entry.keys()
        others = [name for name in error.faults if name.partition(":")[0] not in reported]
        faults += [_as_argument(name) for name in others]
    if faults:
        raise StudyFileError(_CALL, faults)
    return config, keep_alive


def _named_model(
    model: nn.Module | Callable[..., nn.Module] | str, keep_alive: list[object]
) -> str:
    if isinstance(model, str):
        return model
    name, registered = give(model)
    keep_alive.append(registered)
    return name


def _named_data(data: Sequence[Any], keep_alive: list[object]) -> str:
    train, test, search = (str(item) if isinstance(item, Path) else item for item in data)
    if isinstance(train, str) and test is None and search is None:
        return train
    name, source = give_data(train, test, search)
    keep_alive.append(source)
    return name


def _as_argument(fault: str) -> str:
    """Translate a fault of a study file to one of an argument: "data.size" -> "images.size"."""
    key, colon, text = fault.partition(":")
    first, dot, rest = key.partition(".")
    if key == "data.source":
        key = "train"
    elif first == "data":
        key = f"images{dot}{rest}"
    elif first in _RECIPES:
        key = f"recipes.{key}"
    return f"{key}{colon}{text}"


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Suppress Optuna's log messages inside."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _console() -> Console:
    """The console for progress. Notebooks get plain lines, as a live display needs widgets."""
    console = Console()
    return Console(force_jupyter=False, force_terminal=False) if console.is_jupyter else console
