"""The cache of trained networks on disk.

Plans with the same first phases share their training: a key includes everything on which a result
depends, so a cached result equals a computed one. Weights are stored as safetensors and nothing
is unpickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError

from ...lazy_imports import torch
from ...paths import cache_folder

DEFAULT_LIMIT = 4 * 2**30
"""Size limit in bytes, above which the least recently used entries are removed."""


_DIGEST = "sha256"
_ABANDONED_SECONDS = 86_400


class Cache:
    """Tensors by key, in a folder that processes can share.

    Args:
        folder: the folder of the entries; created when needed.
        limit: maximum total size in bytes.
    """

    def __init__(self, folder: Path | None = None, limit: int = DEFAULT_LIMIT) -> None:
        self.folder = folder or cache_folder() / "networks"
        self.limit = limit

    def get(self, key: str) -> dict[str, torch.Tensor] | None:
        """Load the tensors of a key; None if the entry is missing or damaged."""
        from safetensors.torch import load

        path = self._path(key)
        try:
            data = path.read_bytes()  # in one read: another process may replace the file
            tensors = load(data)
        except (SafetensorError, OSError):
            return None
        if _noted_digest(data) != tensors_digest(tensors):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # marks it as recently used
        return tensors

    def put(self, key: str, tensors: Mapping[str, torch.Tensor]) -> None:
        """Store tensors under a key. Errors of writing are ignored."""
        from safetensors.torch import save_file

        stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        with contextlib.suppress(OSError, SafetensorError):
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder, suffix=".part") as folder:
                part = Path(folder) / "entry"
                save_file(stored, part, metadata={_DIGEST: tensors_digest(stored)})
                part.replace(self._path(key))  # atomic: no partial entries
            self._make_room()

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _make_room(self) -> None:
        for part in self.folder.glob("*.part"):  # left by a writer that was killed
            if time.time() - part.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(part, ignore_errors=True)
        entries = [(path.stat(), path) for path in self.folder.glob("*.safetensors")]
        entries.sort(key=lambda entry: entry[0].st_mtime, reverse=True)
        taken = 0
        for stat, path in entries:
            taken += stat.st_size
            if taken > self.limit:
                path.unlink(missing_ok=True)


def _noted_digest(data: bytes) -> str | None:
    """Read the digest that `put` wrote to the header: 8 bytes of length, then JSON."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    noted: str | None = header.get("__metadata__", {}).get(_DIGEST)
    return noted


def tensors_digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """Compute the SHA-256 of tensors and their names, in hexadecimal digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def cache_key(**parts: object) -> str:
    """Compute a key from everything on which a result depends: 24 hexadecimal digits."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]
