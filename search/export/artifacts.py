"""Exported files of a study in Optuna's artifact store, for download in the dashboard.

The store is a folder beside the study's storage. Files are named by a digest of their content:
exporting the same winner twice adds nothing.
"""

import contextlib
import mimetypes
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import optuna
from optuna.artifacts import ArtifactMeta, FileSystemArtifactStore
from optuna.artifacts.exceptions import ArtifactNotFound

from ..study.attributes import EXPORTS
from ..study.storage import MEMORY, sqlite_path
from .manifest import digest

FOLDER = "paredown-artifacts"

_ANY_TYPE = "application/octet-stream"


class Artifacts(FileSystemArtifactStore):
    """Optuna's artifact store, in a folder that is created at the first write.

    Args:
        url: URL of the storage; the store is beside its file, or in the working folder.
    """

    def __init__(self, url: str) -> None:
        path = sqlite_path(url)
        self.folder = (path.parent if path else Path()) / FOLDER
        super().__init__(self.folder)

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        super().write(artifact_id, content_body)

    def holds(self, artifact_id: str) -> bool:
        """Whether the store has an artifact."""
        return (self.folder / artifact_id).is_file()

    def add(self, file: Path, artifact_id: str) -> None:
        """Add a file to the store, as a hard link where possible."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / artifact_id
        if path.exists():
            return
        try:
            os.link(file, path)
        except OSError:
            shutil.copyfile(file, path)


def keep_exported(study: optuna.Study, url: str, trial: int, folder: Path) -> None:
    """Store the files of an export as artifacts of a trial, in place of earlier ones.

    Errors of the file system are ignored: the exported folder is complete without them.

    Args:
        study: the study.
        url: URL of its storage.
        trial: number of the winner's trial.
        folder: the exported folder.
    """
    if url == MEMORY:
        return
    store, stored = Artifacts(url), dict(study.user_attrs.get(EXPORTS, {}))
    with contextlib.suppress(OSError):
        files = _named(study, trial, folder)
        for name, artifact_id in files.items():
            store.add(folder / name, artifact_id)
        data = {"folder": str(folder.absolute()), "files": files}
        study.set_user_attr(EXPORTS, stored | {str(trial): data})
        earlier = stored.get(str(trial), {}).get("files", {}).values()
        for artifact_id in set(earlier) - set(files.values()):
            with contextlib.suppress(ArtifactNotFound):
                store.remove(artifact_id)


def read_exported(study: optuna.Study, store: Artifacts) -> Iterator[tuple[int, ArtifactMeta]]:
    """The exported files that are still in the store: (number of the trial, file)."""
    for trial, data in study.user_attrs.get(EXPORTS, {}).items():
        for name, artifact_id in data["files"].items():
            if store.holds(artifact_id):
                media_type = mimetypes.guess_type(name)[0] or _ANY_TYPE
                yield int(trial), ArtifactMeta(artifact_id, name, media_type, None)


def _named(study: optuna.Study, trial: int, folder: Path) -> dict[str, str]:
    """File name -> artifact id, for each file of a folder."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return {path.name: _name(study.study_name, trial, path) for path in files}


def _name(study: str, trial: int, path: Path) -> str:
    """The artifact id of a file; the dashboard accepts only hexadecimal digits and hyphens."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{study} {trial} {path.name} {digest(path)}"))
