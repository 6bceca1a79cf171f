"""Dotted module names."""

from collections.abc import Iterator


def join(first: str, second: str) -> str:
    """A dotted module name; either part may be empty."""
    return f"{first}.{second}" if first and second else first or second


def relative(name: str, to: str) -> str:
    """A name as seen from a module that holds it, or from itself."""
    return name.removeprefix(to).removeprefix(".")


def holders(name: str) -> Iterator[str]:
    """A layer's own name, and those of the modules that it is in, from the inside out."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def is_inside(name: str, module: str) -> bool:
    """Whether a name is a module's own or that of one inside it."""
    return name == module or name.startswith(f"{module}.")
