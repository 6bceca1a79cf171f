"""Extensions that other packages bring: what they register is there as if it were Paredown's own.

A package names its module in the entry point group "paredown.extensions". Installing it is the
user's choice, and lets that module run whenever Paredown is asked for a technique or data set by
name; nothing else does.
"""

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from .references import user_code, with_torchvision

GROUP = "paredown.extensions"


@cache
def load_extensions() -> tuple[str, ...]:
    """Run every installed extension, the first time that it is called. Returns their names.

    Raises:
        UserCodeError: one of them failed; the message names it and its package.
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
