"""Where Paredown keeps what it downloads and computes."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """The folder for all that can be fetched or computed again; it need not exist yet.

    `PAREDOWN_CACHE` if set, else `paredown` in `XDG_CACHE_HOME`, else `~/.cache/paredown`.
    """
    own = os.environ.get("PAREDOWN_CACHE")
    if own:
        return Path(own).expanduser()
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG specification: a relative path there is invalid and to be ignored.
    return (shared if shared.is_absolute() else Path.home() / ".cache") / "paredown"
