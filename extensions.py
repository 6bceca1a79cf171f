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
    found = sorted(entry_points(group=GROUP), key=lambda one: one.name)
    for one in found:
        with user_code(_named(one)):
            with_torchvision(one.load)
    return tuple(one.name for one in found)


def _named(one: EntryPoint) -> str:
    package = f" of the package {one.dist.name} {one.dist.version}" if one.dist else ""
    return f"the installed extension {one.name!r}{package}"
