"""The submodules of a network: their dotted names, and one put in another's place."""

from __future__ import annotations

from collections.abc import Iterator

from ...lazy_imports import nn


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


def replace_module(network: nn.Module, name: str, new: nn.Module) -> None:
    """Put a module in the place of the one of that name, in its mode, under every name that it has.

    A backbone that is kept both whole and in parts holds each of its layers twice.
    """
    old = network.get_submodule(name)
    new.train(old.training)
    names = [alias for alias, m in network.named_modules(remove_duplicate=False) if m is old]
    for alias in names:
        network.set_submodule(alias, new)


def take_out(network: nn.Module, name: str) -> None:
    """Put nothing in a module's place: what it reads goes on as it is."""
    replace_module(network, name, nn.Identity())
