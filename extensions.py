"""Extensions from installed packages, found by entry points.

A package lists its module in the entry point group "paredown.extensions". The module is imported
when a technique, data set or other record is looked up by name; its records are then available
like Paredown's own.
"""

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from .references import user_code, with_torchvision

GROUP = "paredown.extensions"


@cache
def load_extensions() -> tuple[str, ...]:
    """Import every installed extension on the first call; return their names.

    Raises:
        UserCodeError: an extension raised; the message names it and its package.
    """
    installed = sorted(entry_points(group=GROUP), key=lambda entry_point: entry_point.name)
    for entry_point in installed:
        with user_code(_named(entry_point)):
            with_torchvision(entry_point.load)
    return tuple(entry_point.name for entry_point in installed)


def _named(entry_point: EntryPoint) -> str:
    package = (
        f" of the package {entry_point.dist.name} {entry_point.dist.version}"
        if entry_point.dist
        else ""
    )
    return f"the installed extension {entry_point.name!r}{package}"
