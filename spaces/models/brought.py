"""Models from a user's function or network."""

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
"""Names of parameters with which a user's function can take these values."""

_OFFERED = "classes (or num_classes) and channels (or in_channels, in_chans)"
_ANY_CLASSES = 10
_IMAGES = (1, 3)


def brought_model(function: Callable[..., nn.Module], name: str) -> Model:
    """Create a model from a function, which is called with those of classes and channels it takes.

    Args:
        function: returns a network on the CPU; may be a class.
        name: the user's reference, without folders.

    Raises:
        InputError: the function has other required arguments.
        UserCodeError: the function failed.
    """

    def build(classes: int, channels: int) -> nn.Module:
        offered = dict.fromkeys(_CLASSES, classes) | dict.fromkeys(_CHANNELS, channels)
        network = call(function, name, offered, _OFFERED)
        # The function may return the same network again, so a copy is trained.
        return _copy(network) if isinstance(network, nn.Module) else network

    def channels() -> int | None:
        if any(parameter in _CHANNELS for parameter in parameters_of(function)):
            return None
        with torch.random.fork_rng():
            return _channels_of(build(_ANY_CLASSES, _IMAGES[-1]))

    return Model(
        name=name,
        title="the user's function",
        build=build,
        channels=channels(),
        digest=source_digest(function),
        has_weights=True,
    )


def session_model(network: nn.Module) -> Model:
    """Create a model from a network; `build` returns copies of it.

    Raises:
        ModelError: the network cannot be copied.
    """
    network_type = type(network)
    return Model(
        name=f"{network_type.__module__}:{network_type.__qualname__}",
        title="the user's network",
        build=lambda classes, channels: _copy(network),
        channels=_channels_of(network),
        digest=source_digest(network_type) + _digest(network),
        has_weights=True,
    )


def is_lazy(tensor: torch.Tensor) -> bool:
    """Return whether a tensor's shape is not initialised yet."""
    lazy = (torch.nn.UninitializedParameter, torch.nn.UninitializedBuffer)
    return isinstance(tensor, lazy)


def _copy(network: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(network)
    except Exception as error:  # modules may hold objects that cannot be copied
        raise ModelError(f"the network cannot be copied: {error}") from error


def _digest(network: nn.Module) -> str:
    """Compute a digest of a network's layers and weights: 12 hexadecimal digits."""
    total = hashlib.sha256(str(network).encode())
    for name, tensor in network.state_dict().items():
        total.update(name.encode())
        has_numbers = isinstance(tensor, torch.Tensor) and not is_lazy(tensor)
        if has_numbers and tensor.device.type != "meta":
            total.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return total.hexdigest()[:12]


def _channels_of(network: object) -> int | None:
    """Return the input channels of a network's first convolution, if 1 or 3; else None."""
    modules = network.modules() if isinstance(network, nn.Module) else ()
    first = next((module for module in modules if isinstance(module, nn.Conv2d)), None)
    return first.in_channels if first is not None and first.in_channels in _IMAGES else None
