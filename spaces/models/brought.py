"""A user's own function, or network, as a model."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable

from ...errors import ModelError
from ...lazy_imports import nn, torch
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
        network = call(function, name, offered, _OFFERED)
        # It may be one that the function keeps: what is trained here is a copy.
        return _copy(network) if isinstance(network, nn.Module) else network

    def channels() -> int | None:
        if any(parameter in _CHANNELS for parameter in parameters_of(function)):
            return None
        with torch.random.fork_rng():
            return _channels_of(build(_ANY_CLASSES, _IMAGES[-1]))

    return Model(
        name=name,
        title="a function of your own",
        build=build,
        channels=channels(),
        digest=source_digest(function),
        has_weights=True,
    )


def session_model(network: nn.Module) -> Model:
    """A network as a model: what is built is a copy, and the network is left as it is.

    Raises:
        ModelError: it cannot be copied.
    """
    network_type = type(network)
    return Model(
        name=f"{network_type.__module__}:{network_type.__qualname__}",
        title="a network of your own",
        build=lambda classes, channels: _copy(network),
        channels=_channels_of(network),
        digest=source_digest(network_type) + _digest(network),
        has_weights=True,
    )


def is_lazy(tensor: torch.Tensor) -> bool:
    """Whether a tensor does not know its shape yet."""
    lazy = (torch.nn.UninitializedParameter, torch.nn.UninitializedBuffer)
    return isinstance(tensor, lazy)


def _copy(network: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(network)
    except Exception as error:  # whatever a module keeps that cannot be copied
        raise ModelError(f"the network cannot be copied: {error}") from error


def _digest(network: nn.Module) -> str:
    """12 hexadecimal digits over its layers and its numbers."""
    total = hashlib.sha256(str(network).encode())
    for name, tensor in network.state_dict().items():
        total.update(name.encode())
        has_numbers = isinstance(tensor, torch.Tensor) and not is_lazy(tensor)
        if has_numbers and tensor.device.type != "meta":
            total.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return total.hexdigest()[:12]


def _channels_of(network: object) -> int | None:
    """The image channels that a network's first convolution reads, if that tells them."""
    modules = network.modules() if isinstance(network, nn.Module) else ()
    first = next((module for module in modules if isinstance(module, nn.Conv2d)), None)
    return first.in_channels if first is not None and first.in_channels in _IMAGES else None
