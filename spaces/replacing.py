"""One module put in another's place."""

from __future__ import annotations

from ..lazy_imports import nn


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
