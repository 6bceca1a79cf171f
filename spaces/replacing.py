"""One module put in another's place."""

from torch import nn


def replace_module(network: nn.Module, name: str, new: nn.Module) -> None:
    """Put a module in the place of the one of that name, under every name that it has.

    A backbone that is kept both whole and in parts holds each of its layers twice.
    """
    old = network.get_submodule(name)
    names = [alias for alias, m in network.named_modules(remove_duplicate=False) if m is old]
    for alias in names:
        network.set_submodule(alias, new)
