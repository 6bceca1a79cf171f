"""`manifest.json`: the machine-readable description of an exported folder."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError, PlanError
from ...objectives.accuracy.scoring import Metric
from ...objectives.data import Normalisation
from ...spaces.models import Model
from ...spaces.plan import Plan
from ..study.legacy_names import MANIFEST as OLD_NAMES
from ..study.legacy_names import current

MANIFEST = "manifest.json"
VERSION = 1

_MUST = ("model", "classes", "channels", "size", "normalisation", "keep", "plan", "data", "files")


@dataclass(frozen=True)
class Manifest:
    """A manifest that was read, or is to be written.

    Attributes:
        data: the manifest as JSON values.
        built_by: the model to build the network with, in place of the manifest's model name.
    """

    data: Mapping[str, Any]
    built_by: Model | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.data["classes"])

    @property
    def channels(self) -> int:
        return int(self.data["channels"])

    @property
    def size(self) -> int:
        """Side of the images, in pixels."""
        return int(self.data["size"])

    @property
    def metric(self) -> Metric:
        """The accuracy metric."""
        return Metric(self.data.get("metric", Metric.PLAIN))

    @property
    def plan(self) -> Plan:
        return Plan.from_dict(self.data["plan"])

    @property
    def normalisation(self) -> Normalisation:
        data = self.data["normalisation"]
        return Normalisation(tuple(data["mean"]), tuple(data["std"]))

    def check_file(self, path: Path) -> None:
        """Validate that a file is unchanged since the export.

        Raises:
            InputError: the file is not in the manifest, cannot be read, or has changed.
        """
        noted = self.data["files"].get(path.name)
        if noted is None:
            raise InputError(f"{path.name} is not a file of {path.parent / MANIFEST}")
        if digest(path) != noted["sha256"]:
            raise InputError(
                f"{path} has changed since the export: its SHA-256 differs from the one in "
                f"{MANIFEST}; export it again"
            )


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of an exported folder.

    Raises:
        InputError: there is no manifest, or it is not valid.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"{folder} is not an exported model: it has no {MANIFEST}")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    if not isinstance(data, dict) or data.get("manifest") != VERSION:
        raise InputError(f'{path} is not a manifest of Paredown: it has no "manifest": {VERSION}')
    missing = [name for name in _MUST if name not in data]
    if missing:
        raise InputError(f"{path} lacks {', '.join(missing)}")
    manifest = Manifest(current(data, OLD_NAMES))
    try:
        _ = manifest.plan, manifest.normalisation, manifest.channels, manifest.size
        _ = manifest.metric
        _ = [(dict(data["files"][name])["sha256"], str(name)) for name in data["files"]]
    except PlanError as error:
        raise InputError(f"{path}: {error}") from None
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(f"{path} is not valid: {error}") from None
    return manifest
