"""Dotted names of submodules, and their replacement."""

from __future__ import annotations

from collections.abc import Iterator

from ...lazy_imports import nn


def join(first: str, second: str) -> str:
    """Join two parts of a dotted module name; either may be empty."""
    return f"{first}.{second}" if first and second else first or second


def relative(name: str, to: str) -> str:
    """Return a name relative to a module that contains it, or to itself."""
    return name.removeprefix(to).removeprefix(".")


def holders(name: str) -> Iterator[str]:
    """Yield a layer's name and the names of the modules that contain it, from the inside out."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def is_inside(name: str, module: str) -> bool:
    """Return whether a name is that of a module or of one inside it."""
    return name == module or name.startswith(f"{module}.")


def replace_module(network: nn.Module, name: str, new: nn.Module) -> None:
    """Replace a module under all of its names, and set the new one to its training mode.

    A network that stores its backbone both whole and in parts has two names for each layer.
    """
    old = network.get_submodule(name)
    new.train(old.training)
    names = [alias for alias, m in network.named_modules(remove_duplicate=False) if m is old]
    for alias in names:
        network.set_submodule(alias, new)


def take_out(network: nn.Module, name: str) -> None:
    """Replace a module by the identity."""
    replace_module(network, name, nn.Identity())
