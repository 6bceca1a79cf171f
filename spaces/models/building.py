"""From a model's name to a network: registered ones, timm's, and the user's own functions."""

from __future__ import annotations

from ...errors import ModelError
from ...lazy_imports import nn, torch
from ...references import Reference, is_reference
from . import timm_models
from .brought import brought_model, is_lazy
from .in_memory import SESSION_OBJECTS, is_session_name
from .model import MODELS, Model


def find_model(name: str) -> Model:
    """The model of that name.

    Args:
        name: a registered one, "timm:NAME", or a reference to a function that returns a network.

    Raises:
        UnknownName: no such model.
        InputError: timm is missing, or the reference leads nowhere.
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
    """What a model's name refers to if it is a function of the user's; nothing is run.

    Raises:
        InputError: it is meant as a reference and is none.
    """
    known = name.startswith(timm_models.PREFIX) or is_session_name(name)
    if known or not is_reference(name):
        return None
    return Reference.parse(name)


def build_model(model: str | Model, classes: int, channels: int) -> nn.Module:
    """A network with the weights that its builder gives it: random ones, as a rule.

    Args:
        model: it, or its name.
        classes: how many classes it tells apart.
        channels: of its images, 1 or 3.

    Raises:
        UnknownName: no such model.
        ModelError: the model takes other images, or cannot be built so.
        UserCodeError: the user's code failed.
    """
    if isinstance(model, str):
        model = find_model(model)
    if model.channels not in (None, channels):
        raise ModelError(f"{model.name} takes images of {model.channels} channels, got {channels}")
    if classes < 1 or channels < 1:
        raise ModelError(f"{model.name} cannot be built for {classes} classes, {channels} channels")
    try:
        network = model.build(classes, channels)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{model.name} cannot be built for {classes} classes: {error}") from error
    _check(model.name, network)
    # A trained network is often frozen; then nothing of it would learn, and torch's graph, which
    # tells which channels belong together, would be empty.
    return network.requires_grad_(True)


def _check(name: str, network: object) -> None:
    """See that what was built is a network with numbers, on the CPU."""
    if not isinstance(network, nn.Module):
        text = "nothing" if network is None else f"a {type(network).__name__}"
        raise ModelError(f"{name} returned {text}; expected a torch.nn.Module")
    tensors = [*network.parameters(), *network.buffers()]
    if not any(True for _ in network.parameters()):
        raise ModelError(f"{name} returned a network without parameters: nothing can be pared down")
    if any(is_lazy(tensor) for tensor in tensors):
        raise ModelError(
            f"{name} returned a network with lazy layers; run it once on an image before you "
            "return it, so that they know their shapes"
        )
    # Where torch was told to make all tensors, networks come from there too.
    devices = {str(tensor.device) for tensor in tensors} - {"cpu", str(torch.get_default_device())}
    if devices:
        raise ModelError(
            f"{name} returned a network on {' and '.join(sorted(devices))}; return it on the CPU, "
            "with numbers: it is moved to where it trains"
        )
