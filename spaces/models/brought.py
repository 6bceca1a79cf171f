"""A user's own function, or network, as a model."""

import copy
from collections.abc import Callable

from torch import nn

from ...errors import ModelError
from ...references import call, parameters_of, source_digest
from .model import Model

_CLASSES = ("classes", "num_classes", "n_classes", "nb_classes")
_CHANNELS = ("channels", "in_channels", "in_chans", "num_channels")
"""Names under which networks take them, here and elsewhere."""

_OFFERED = "classes (or num_classes) and channels (or in_channels, in_chans)"
_ANY_CLASSES = 10
_IMAGES = (1, 3)


def brought_model(function: Callable[..., nn.Module], name: str) -> Model:
    """A function as a model. It is called with classes and channels, as far as it takes them.

    Args:
        function: returns a network, on the CPU; a class will do.
        name: as the user wrote it, without folders.

    Raises:
        InputError: it needs something else.
        UserCodeError: it failed.
    """

    def build(classes: int, channels: int) -> nn.Module:
        offered = dict.fromkeys(_CLASSES, classes) | dict.fromkeys(_CHANNELS, channels)
        network: nn.Module = call(function, name, offered, _OFFERED)
        return network

    either = any(parameter in _CHANNELS for parameter in parameters_of(function))
    return Model(
        name=name,
        title="a function of your own",
        build=build,
        channels=None if either else _channels_of(build(_ANY_CLASSES, _IMAGES[-1])),
        digest=source_digest(function),
        has_weights=True,
    )


def given_model(network: nn.Module) -> Model:
    """A network as a model: what is built is a copy, and the network is left as it is.

    Raises:
        ModelError: it cannot be copied.
    """
    kind = type(network)

    def build(classes: int, channels: int) -> nn.Module:
        try:
            return copy.deepcopy(network)
        except Exception as error:  # whatever a module keeps that cannot be copied
            raise ModelError(f"the network cannot be copied: {error}") from error

    return Model(
        name=f"{kind.__module__}:{kind.__qualname__}",
        title="a network of your own",
        build=build,
        channels=_channels_of(network),
        has_weights=True,
    )


def _channels_of(network: object) -> int | None:
    """The image channels that a network's first convolution reads, if that tells them."""
    modules = network.modules() if isinstance(network, nn.Module) else ()
    first = next((one for one in modules if isinstance(one, nn.Conv2d)), None)
    return first.in_channels if first is not None and first.in_channels in _IMAGES else None
