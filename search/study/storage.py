"""Storages of studies: opening them, and validating that a study matches its configuration."""

import contextlib
import json
import sqlite3
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy.engine
import sqlalchemy.exc
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from optuna.study import StudyDirection

from ...errors import StorageError, UnknownName
from ...objectives.accuracy.scoring import Metric
from ...objectives.cost.cost import Cost
from ...objectives.cost.objective import DEFAULT_OBJECTIVES, OBJECTIVES
from .attributes import BASELINE, IDENTITY, VERSIONS
from .code_identity import OPTIONAL_PARTS
from .dead_trials import bury_dead_trials
from .identity import METRIC, SEARCH
from .saved_config import run_imports
from .splits_record import how_to_go_on, in_words, source_before_0_5

DEFAULT_FILE = "paredown.db"
MEMORY = "memory"
"""In place of a URL: an in-memory storage."""


def default_storage() -> str:
    """The URL of the default storage, an SQLite file in the working folder."""
    return f"sqlite:///{DEFAULT_FILE}"


@dataclass(frozen=True)
class Baseline:
    """The uncompressed network, as stored in a study.

    Attributes:
        accuracy: in percent, on the search split.
        cost: its cost.
        digest: digest of its weights.
    """

    accuracy: float
    cost: Cost
    digest: str

    def to_dict(self) -> dict[str, Any]:
        """The baseline as JSON values, for `from_dict`."""
        return {"accuracy": self.accuracy, "cost": self.cost.to_stored(), "digest": self.digest}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Baseline":
        """Read the JSON of `to_dict`."""
        return cls(float(data["accuracy"]), Cost.from_dict(data["cost"]), str(data["digest"]))


def open_storage(url: str, *, must_exist: bool = False) -> BaseStorage:
    """Open the storage at a URL.

    Args:
        url: SQLAlchemy URL, as in sqlite:///paredown.db, or `MEMORY` for an in-memory storage.
        must_exist: do not create a new SQLite file.

    Raises:
        StorageError: the storage cannot be opened.
    """
    if url == MEMORY:
        return InMemoryStorage()
    path = sqlite_path(url)
    if path and must_exist and not path.exists():
        raise StorageError(f"no studies at {url}: no such file {path}; run `paredown search`")
    if path and not path.parent.is_dir():
        raise StorageError(f"the storage {url} cannot be opened: no such folder {path.parent}")
    if path and must_exist and not _holds_studies(path):
        raise StorageError(f"no studies at {url}: {path} is not an Optuna storage")
    try:
        return RDBStorage(url)
    except (
        sqlalchemy.exc.SQLAlchemyError,
        optuna.exceptions.OptunaError,
        ImportError,
        RuntimeError,
        ValueError,
    ) as error:
        reason = storage_reason(error)
        raise StorageError(f"the storage {shown_url(url)} cannot be opened: {reason}") from None


def shown_url(url: str) -> str:
    """A URL without its password."""
    try:
        return sqlalchemy.engine.make_url(url).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        return url


def storage_reason(error: BaseException) -> str:
    """The first line of the innermost error of a storage."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(getattr(error, "orig", None) or error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _holds_studies(path: Path) -> bool:
    """Whether an SQLite file is an Optuna storage; opened read-only."""
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        ) as db:
            return bool(db.execute("select 1 from sqlite_master where name = 'studies'").fetchone())
    except sqlite3.Error:
        return False


def has_baseline(study: optuna.Study) -> bool:
    """Whether a study has a baseline."""
    return BASELINE in study.user_attrs


def open_study(storage: BaseStorage, url: str, name: str) -> optuna.Study:
    """Open an existing study, and load its imports.

    Raises:
        UnknownName: no such study.
        StorageError: the study was not made by Paredown.
        InputError, UserCodeError: one of its imports cannot be loaded.
    """
    names = optuna.get_all_study_names(storage)
    if name not in names:
        raise UnknownName("study", name, names, where=f" in {url}")
    study = optuna.load_study(study_name=name, storage=storage)
    if IDENTITY not in study.user_attrs:
        raise StorageError(f"study {name!r} in {url} was not made by Paredown")
    run_imports(study)
    return study


def name_objectives(study: optuna.Study, names: Sequence[str]) -> None:
    """Set the metric names of a study, for dashboards."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([OBJECTIVES.get(name).title for name in names])


def read_baseline(study: optuna.Study) -> Baseline:
    """Read the baseline of a study.

    Raises:
        StorageError: the search ended before the baseline was scored.
    """
    if not has_baseline(study):
        raise StorageError(
            f"study {study.study_name!r} has no baseline yet; run `paredown search` to resume it"
        )
    return Baseline.from_dict(study.user_attrs[BASELINE])


def write_baseline(study: optuna.Study, url: str, baseline: Baseline) -> None:
    """Store the baseline of a study.

    Raises:
        StorageError: the study has a different baseline, so its drops are not comparable.
    """
    stored = study.user_attrs.get(BASELINE)
    if stored is not None and Baseline.from_dict(stored) != baseline:
        raise StorageError(
            f"study {study.study_name!r} in {url} has a different baseline "
            f"({stored['accuracy']:.2f} % there, {baseline.accuracy:.2f} % here); training can "
            f"differ between versions (there: {study.user_attrs.get(VERSIONS)}). Use another "
            "--name to start a new study"
        )
    study.set_user_attr(BASELINE, baseline.to_dict())


def metric_of(study: optuna.Study) -> Metric:
    """The accuracy metric of a study; plain accuracy in studies that do not store it."""
    stored = json.loads(study.user_attrs.get(IDENTITY, "{}"))
    return Metric(stored.get(METRIC, Metric.PLAIN))


def continue_or_create(
    storage: BaseStorage, url: str, name: str, identity: Mapping[str, Any]
) -> optuna.Study:
    """Open the study of a name, or create it.

    Args:
        storage: an open storage.
        url: URL of the storage, for errors.
        name: name of the study.
        identity: identity of the study.

    Raises:
        StorageError: the study has a different configuration; the message says what differs.
    """
    from ...objectives.evaluation.task import versions

    if name in optuna.get_all_study_names(storage):
        study = optuna.load_study(study_name=name, storage=storage)
        check_same(study, url, identity)
        bury_dead_trials(study)
        return study
    directions = [StudyDirection.MINIMIZE] * len(identity.get("objectives", DEFAULT_OBJECTIVES))
    study = optuna.create_study(
        study_name=name, storage=storage, directions=directions, load_if_exists=True
    )
    study.set_user_attr(IDENTITY, json.dumps(identity))
    study.set_user_attr(VERSIONS, json.dumps(versions()))
    return study


def check_same(study: optuna.Study, url: str, identity: Mapping[str, Any]) -> None:
    """Validate that a study has this identity.

    Raises:
        StorageError: the identities differ, or the study was not made by Paredown.
    """
    there = f"study {study.study_name!r} in {url}"
    if IDENTITY not in study.user_attrs:
        raise StorageError(f"{there} was not made by Paredown; use another --name")
    stored: dict[str, Any] = {METRIC: Metric.PLAIN} | json.loads(study.user_attrs[IDENTITY])
    wanted = json.loads(json.dumps(identity))
    stored.setdefault(SEARCH, source_before_0_5(wanted.get(SEARCH)))
    keys = [*wanted, *(key for key in OPTIONAL_PARTS if key not in wanted)]
    differing = [key for key in keys if stored.get(key) != wanted.get(key)]
    # The signature of the layers covers the options too: reported only if nothing else differs.
    if len(differing) > 1 and "layers" in differing:
        differing.remove("layers")
    if SEARCH in differing and "images" in differing:
        differing.remove("images")
    if differing:
        text = "; ".join(_difference(key, stored.get(key), wanted.get(key)) for key in differing)
        advice = "use another --name to start a new study"
        if SEARCH in differing:
            advice = f"{how_to_go_on(stored[SEARCH])}{advice}"
        raise StorageError(
            f"{there} was created with a different configuration: {text}. "
            f"{advice[:1].upper()}{advice[1:]}"
        )


def with_recipes_of(study: optuna.Study, identity: Mapping[str, Any]) -> dict[str, Any]:
    """An identity with the recipes of a study, for training that is meant to differ."""
    recipes = json.loads(study.user_attrs.get(IDENTITY, "{}")).get("recipes")
    return {**identity, "recipes": recipes}


def _difference(key: str, stored: object, wanted: object) -> str:
    if isinstance(stored, dict) and isinstance(wanted, dict):
        inner = (k for k in sorted({*stored, *wanted}) if stored.get(k) != wanted.get(k))
        return "; ".join(_difference(f"{key}.{k}", stored.get(k), wanted.get(k)) for k in inner)
    if key == SEARCH:
        return f"the search images are {in_words(stored)} there and {in_words(wanted)} here"
    return f"{key} is {stored} there and {wanted} here"


def sqlite_path(url: str) -> Path | None:
    """The file of a storage; None if the URL is not an SQLite file."""
    prefix = "sqlite:///"
    return Path(url.removeprefix(prefix).split("?")[0]) if url.startswith(prefix) else None
