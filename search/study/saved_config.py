"""What a study was asked, kept with it, so that its networks can be made again from its name."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna

from ...errors import StorageError
from ...extensions import load_extensions
from ...references import load_code
from ...spaces.models import own_code
from .attributes import CONFIG
from .legacy_names import study_attributes

if TYPE_CHECKING:
    from .config import StudyConfig


def save_config(study: optuna.Study, config: "StudyConfig") -> None:
    """Keep what the last run of a study was asked. Paths are kept absolute."""
    from ...objectives.data import own_data

    data: dict[str, Any] = config.model_dump(mode="json", exclude={"start", "max_drop"})
    data["max_drop"] = [budget.max_drop for budget in config.max_drop]
    if config.weights is not None:
        data["weights"] = str(config.weights.absolute())
    if code := own_code(config.model):
        data["model"] = code.absolute
    data["imports"] = [
        str(Path(name).expanduser().absolute()) if name.endswith(".py") else name
        for name in config.imports
    ]
    if code := own_data(config.data.source):
        data["data"]["source"] = code.absolute
    if study.user_attrs.get(CONFIG) != data:
        study.set_user_attr(CONFIG, data)


def run_imports(study: optuna.Study) -> None:
    """Run what a study imported, and what is installed: its plans may name techniques of theirs.

    Raises:
        InputError, UserCodeError: a file is not there any more, or failed.
    """
    load_extensions()
    for place in study_attributes(study.user_attrs).get(CONFIG, {}).get("imports", ()):
        load_code(place)


def read_saved_config(study: optuna.Study) -> "StudyConfig":
    """What the last run of a study was asked; the plans that it began with are left out.

    Raises:
        StorageError: the study is from before this was kept, or it cannot be read any more.
    """
    from pydantic import ValidationError

    from .config import StudyConfig

    stored = study_attributes(study.user_attrs).get(CONFIG)
    if stored is None:
        raise StorageError(
            f"the study {study.study_name!r} does not say what it was asked: it is from before "
            "0.4; run its `paredown search` once more, which costs no training"
        )
    try:
        config = StudyConfig.model_validate(stored)
    except ValidationError as error:
        raise StorageError(
            f"what the study {study.study_name!r} was asked cannot be read: {error}"
        ) from None
    if "search" in stored["data"]:
        return config
    return config.model_copy(update={"data": config.data.split_before_0_5()})
