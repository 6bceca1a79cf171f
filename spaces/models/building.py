"""Models by name (registered ones, timm's, and the user's functions), and their networks."""

from __future__ import annotations

from ...errors import ModelError
from ...lazy_imports import nn, torch
from ...references import Reference, is_reference
from . import timm_models
from .brought import brought_model, is_lazy
from .in_memory import SESSION_OBJECTS, is_session_name
from .model import MODELS, Model


def find_model(name: str) -> Model:
    """Look up a model by name.

    Args:
        name: a registered name, "timm:NAME", or a reference to a function that returns a network.

    Raises:
        UnknownName: unknown model.
        InputError: timm is not installed, or the reference does not exist.
        UserCodeError: the user's code failed.
    """
    if provided := SESSION_OBJECTS.find(name):
        return provided
    if name.startswith(timm_models.PREFIX):
        return timm_models.find(name)
    if reference := own_code(name):
        return brought_model(reference.load(), reference.name)
    return MODELS.get(name)


def own_code(name: str) -> Reference | None:
    """Parse a model's name as a reference to a user's function, without running code.

    Returns:
        None if the name is not a reference.

    Raises:
        InputError: a malformed reference.
    """
    known = name.startswith(timm_models.PREFIX) or is_session_name(name)
    if known or not is_reference(name):
        return None
    return Reference.parse(name)


def build_model(model: str | Model, classes: int, channels: int) -> nn.Module:
    """Build a network. Its weights are random, unless the user's function returns others.

    Args:
        model: a model or its name.
        classes: the number of classes.
        channels: the number of image channels, 1 or 3.

    Raises:
        UnknownName: unknown model.
        ModelError: the model needs other images, or cannot be built with these arguments.
        UserCodeError: the user's code failed.
    """
    if isinstance(model, str):
        model = find_model(model)
    if model.channels not in (None, channels):
        raise ModelError(f"{model.name} needs images of {model.channels} channels, got {channels}")
    if classes < 1 or channels < 1:
        raise ModelError(
            f"{model.name} needs at least 1 class and 1 image channel, got {classes} and {channels}"
        )
    try:
        network = model.build(classes, channels)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{model.name} cannot be built for {classes} classes: {error}") from error
    _check(model.name, network)
    # Trained networks are often frozen. Without gradients, nothing would be trained, and the
    # autograd graph, from which Torch-Pruning derives channel groups, would be empty.
    return network.requires_grad_(True)


def _check(name: str, network: object) -> None:
    """Validate that a user's network has parameters, is initialised and on the CPU."""
    if not isinstance(network, nn.Module):
        text = "nothing" if network is None else f"a {type(network).__name__}"
        raise ModelError(f"{name} returned {text}; expected a torch.nn.Module")
    tensors = [*network.parameters(), *network.buffers()]
    if not any(True for _ in network.parameters()):
        raise ModelError(f"{name} returned a network without parameters; expected some to compress")
    if any(is_lazy(tensor) for tensor in tensors):
        raise ModelError(
            f"{name} returned a network with lazy layers; run it once on an image before you "
            "return it, so that their shapes are initialised"
        )
    # The user may have changed torch's default device, on which networks are then created.
    devices = {str(tensor.device) for tensor in tensors} - {"cpu", str(torch.get_default_device())}
    if devices:
        raise ModelError(
            f"{name} returned a network on {' and '.join(sorted(devices))}; return it on the CPU, "
            "with weights: Paredown moves it to the training device"
        )
