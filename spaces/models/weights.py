"""Weights from a file into a network. Nothing that a user gives is unpickled."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path

from ...errors import WeightsError, first_names
from ...lazy_imports import nn, torch

_WRAPPERS = ("state_dict", "model", "model_state_dict", "net")
_SHOWN = 5


def load_weights(network: nn.Module, path: Path) -> None:
    """Fill a network with the weights of a file: safetensors, or a checkpoint of tensors alone.

    Args:
        network: is filled in place; untouched when an error is raised.
        path: *.safetensors, or what `torch.save(network.state_dict(), path)` wrote.

    Raises:
        WeightsError: the file is missing, no such file, holds more than tensors, or does not fit;
            the message says which entries.
    """
    state = read_weights(path)
    faults = list(_misfits(network, state))
    if faults:
        raise WeightsError(f"the weights of {path} do not fit the network:\n" + "\n".join(faults))
    network.load_state_dict(state, strict=False)


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file, by name.

    Raises:
        WeightsError: the file is missing, no such file, or holds more than tensors.
    """
    return _unwrapped(_read(path))


def _read(path: Path) -> Mapping[str, object]:
    if not path.is_file():
        raise WeightsError(f"no weights file at {path}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise WeightsError(
            f"{path} holds more than tensors, and running code from a file is refused; "
            "save network.state_dict() alone, best as safetensors"
        ) from None
    except Exception as error:
        # torch.load promises no particular error: a broken file may end in a KeyError or others.
        raise WeightsError(f"{path} cannot be read as weights: {error}") from None
    if not isinstance(loaded, Mapping):
        raise WeightsError(f"{path} holds a {type(loaded).__name__}, expected a state dict")
    return loaded


def _unwrapped(loaded: Mapping[str, object]) -> dict[str, torch.Tensor]:
    for wrapper in _WRAPPERS:
        inner = loaded.get(wrapper)
        if isinstance(inner, Mapping):
            loaded = inner
            break
    return {
        str(name).removeprefix("module."): tensor
        for name, tensor in loaded.items()
        if isinstance(tensor, torch.Tensor)
    }


def _misfits(network: nn.Module, state: Mapping[str, torch.Tensor]) -> Iterable[str]:
    expected = network.state_dict()
    parameters = {name for name, _ in network.named_parameters()}
    # Counters and index buffers may be missing: they do not weigh. Running statistics do.
    optional = {
        name
        for name, tensor in expected.items()
        if name not in parameters and not tensor.is_floating_point()
    }
    missing = [name for name in expected if name not in state and name not in optional]
    unknown = [name for name in state if name not in expected]
    if missing:
        yield f"  - missing: {first_names(missing, _SHOWN)}"
    if unknown:
        yield f"  - not in the network: {first_names(unknown, _SHOWN)}"
    for name, tensor in state.items():
        if name in expected and (fault := _unusable(tensor)):
            yield f"  - {name}: {fault}"
        elif name in expected and tensor.shape != expected[name].shape:
            wanted, got = tuple(expected[name].shape), tuple(tensor.shape)
            yield f"  - {name}: expected shape {wanted}, got {got}"


def _unusable(tensor: torch.Tensor) -> str:
    """Why numbers cannot be taken from a tensor; empty if they can."""
    if tensor.is_meta or tensor.layout is not torch.strided or tensor.is_quantized:
        return "expected plain numbers, got a sparse, quantized or empty tensor"
    if tensor.is_complex():
        return "expected real numbers, got complex ones"
    return "" if bool(torch.isfinite(tensor).all()) else "it holds NaN or infinite values"
