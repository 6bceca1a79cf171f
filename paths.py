"""The folder of downloads and cached results."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """The cache folder, which may not exist yet.

    `PAREDOWN_CACHE` if set, else `paredown` in `XDG_CACHE_HOME`, else `~/.cache/paredown`.
    """
    own = os.environ.get("PAREDOWN_CACHE")
    if own:
        return Path(own).expanduser()
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # By the XDG specification, a relative path is invalid and must be ignored.
    return (shared if shared.is_absolute() else Path.home() / ".cache") / "paredown"
