"""The configuration stored in a study, from which its networks can be rebuilt by name."""

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
    """Store the configuration of a study's latest run, with absolute paths."""
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
    """Load the extensions and imports of a study, whose techniques its plans may name.

    Raises:
        InputError, UserCodeError: a file is missing, or raised.
    """
    load_extensions()
    for place in study_attributes(study.user_attrs).get(CONFIG, {}).get("imports", ()):
        load_code(place)


def read_saved_config(study: optuna.Study) -> "StudyConfig":
    """Read the configuration of a study's latest run, without its start plans.

    Raises:
        StorageError: the study has none (before 0.4), or it is not valid any more.
    """
    from pydantic import ValidationError

    from .config import StudyConfig

    stored = study_attributes(study.user_attrs).get(CONFIG)
    if stored is None:
        raise StorageError(
            f"study {study.study_name!r} has no stored configuration, as it was made before 0.4; "
            "run its `paredown search` again, which needs no training"
        )
    try:
        config = StudyConfig.model_validate(stored)
    except ValidationError as error:
        raise StorageError(
            f"the stored configuration of study {study.study_name!r} is not valid: {error}"
        ) from None
    if "search" in stored["data"]:
        return config
    return config.model_copy(update={"data": config.data.split_before_0_5()})
