"""Loading of weights from a file. Arbitrary objects are never unpickled."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path

from ...errors import WeightsError, first_names
from ...lazy_imports import nn, torch

_WRAPPERS = ("state_dict", "model", "model_state_dict", "net")
_SHOWN = 5


def load_weights(network: nn.Module, path: Path) -> None:
    """Load weights into a network from safetensors or a checkpoint that contains only tensors.

    Args:
        network: changed in place; unchanged if an error is raised.
        path: *.safetensors, or a file written by `torch.save(network.state_dict(), path)`.

    Raises:
        WeightsError: the file is missing, unreadable, contains more than tensors, or does not match
            the network; the message lists the mismatches.
    """
    state = read_weights(path)
    faults = list(_misfits(network, state))
    if faults:
        raise WeightsError(f"the weights of {path} do not match the network:\n" + "\n".join(faults))
    network.load_state_dict(state, strict=False)


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a file, by name.

    Raises:
        WeightsError: the file is missing, unreadable, or contains more than tensors.
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
            f"{path} contains more than tensors, which could run code; save only "
            "network.state_dict(), preferably as safetensors"
        ) from None
    except Exception as error:
        # torch.load documents no exceptions: a broken file may raise a KeyError or others.
        raise WeightsError(f"{path} cannot be read as weights: {error}") from None
    if not isinstance(loaded, Mapping):
        raise WeightsError(f"expected a state dict in {path}, got a {type(loaded).__name__}")
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
    # Integer buffers (counters, indices) may be missing; running statistics may not.
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
    """Return why a tensor cannot be loaded; empty if it can."""
    if tensor.is_meta or tensor.layout is not torch.strided or tensor.is_quantized:
        return "expected a dense tensor, got a sparse, quantized or meta tensor"
    if tensor.is_complex():
        return "expected real values, got complex values"
    return "" if bool(torch.isfinite(tensor).all()) else "it contains NaN or infinite values"
