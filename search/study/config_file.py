"""Reads study files and the built-in studies; `config` validates them."""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from ...errors import InputError, StudyFileError, UnknownName
from .legacy_names import CONFIG, current

_STUDIES = files("paredown") / "studies"


def ready_studies() -> dict[str, str]:
    """The built-in studies, name -> title."""
    entries = sorted(_STUDIES.iterdir(), key=lambda entry: entry.name)
    return {
        Path(entry.name).stem: str(tomllib.loads(entry.read_text()).get("title", ""))
        for entry in entries
        if entry.name.endswith(".toml")
    }


def read_study(study: str) -> tuple[str, dict[str, Any]]:
    """Read a study's source, for messages, and its keys; paths are relative to the study file.

    Args:
        study: a name in studies/, or the path of a TOML file.

    Raises:
        UnknownName: no such study.
        InputError, StudyFileError: the file cannot be read, or is not valid TOML.
    """
    path = Path(study)
    if path.suffix == ".toml" or path.parent != Path():
        return str(path), _read_file(path)
    ready = _STUDIES / f"{study}.toml"
    if not ready.is_file():
        raise UnknownName("study", study, ready_studies(), see="paredown studies")
    return f"study {study}", tomllib.loads(ready.read_text())


def _read_file(path: Path) -> dict[str, Any]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"no study file at {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the study file {path} cannot be read: {error}") from None
    except (ValueError, RecursionError) as error:
        raise StudyFileError(str(path), [f"not valid TOML: {error}"]) from None
    data = current(data, CONFIG)
    if isinstance(data.get("weights"), str):
        data["weights"] = path.parent / data["weights"]
    if isinstance(data.get("model"), str):
        data["model"] = _code_beside(path, data["model"])
    if isinstance(data.get("imports"), list):
        data["imports"] = [_file_beside(path, place) for place in data["imports"]]
    if isinstance(data.get("data"), str):
        data["data"] = _code_beside(path, data["data"])
    elif isinstance(data.get("data"), dict) and isinstance(data["data"].get("source"), str):
        data["data"]["source"] = _code_beside(path, data["data"]["source"])
    if isinstance(data.get("start"), list):
        data["start"] = [_beside(path, text) for text in data["start"]]
    return data


def _code_beside(path: Path, name: str) -> str:
    """Resolve a reference to code relative to the study file."""
    file = Path(name.rpartition(":")[0])
    is_relative = file.suffix == ".py" and not name.startswith("~")
    return str(path.parent / name) if is_relative else name


def _file_beside(path: Path, place: object) -> object:
    """Resolve a file to import relative to the study file."""
    is_file = isinstance(place, str) and place.endswith(".py") and not place.startswith("~")
    return str(path.parent / str(place)) if is_file else place


def _beside(path: Path, start: object) -> object:
    """Resolve a plan's file relative to the study file."""
    if isinstance(start, str) and start.endswith(".json"):
        return str(path.parent / start)
    return start
