"""Weights from files: those that fit load, those that do not say why and change nothing."""

import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from paredown.errors import WeightsError
from paredown.spaces.models import build_model, load_weights
from safetensors.torch import save_file
from torch import nn

State = dict[str, torch.Tensor]


def network(classes: int = 10) -> nn.Module:
    return build_model("resnet8", classes, 3)


@pytest.fixture
def other() -> State:
    """The weights of another network of the same shape, with statistics of its own."""
    donor = network()
    with torch.no_grad():
        donor.train()(torch.randn(4, 3, 16, 16))
    return {name: tensor.clone() for name, tensor in donor.state_dict().items()}


def save_safetensors(state: State, folder: Path) -> Path:
    path = folder / "weights.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return path


def save_checkpoint(state: object, folder: Path) -> Path:
    path = folder / "weights.pt"
    torch.save(state, path)
    return path


def save_old_checkpoint(state: object, folder: Path) -> Path:
    path = folder / "weights.pth"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    return path


def in_parallel(state: State) -> State:
    return {f"module.{name}": tensor for name, tensor in state.items()}


def published(state: State) -> State:
    """As a file of the slice-and-pad form: without what only Paredown's shortcut has."""
    return {name: tensor for name, tensor in state.items() if not name.endswith("source")}


def assert_loaded(into: nn.Module, state: State) -> None:
    loaded = into.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


def assert_refused(path: Path, text: str, into: nn.Module | None = None) -> str:
    into = into or network()
    before = {name: tensor.clone() for name, tensor in into.state_dict().items()}
    with pytest.raises(WeightsError, match=text) as caught:
        load_weights(into, path)
    assert_loaded(into, before)
    assert path.name in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("save", [save_safetensors, save_checkpoint, save_old_checkpoint])
@pytest.mark.parametrize("shape", [dict, in_parallel, published])
def test_loads_weights_that_fit(
    save: Callable[[State, Path], Path], shape: Callable[[State], State], other: State,
    tmp_path: Path,
) -> None:  # fmt: skip
    into = network()
    load_weights(into, save(shape(other), tmp_path))
    assert_loaded(into, other)


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict", "net"])
@pytest.mark.parametrize("shape", [dict, in_parallel])
def test_loads_from_a_wrapper(
    wrapper: str, shape: Callable[[State], State], other: State, tmp_path: Path
) -> None:
    into = network()
    wrapped = {"epoch": 7, "best": 91.5, "name": "resnet8", wrapper: shape(other)}
    load_weights(into, save_checkpoint(wrapped, tmp_path))
    assert_loaded(into, other)


def test_parameters_of_a_checkpoint_load_too(other: State, tmp_path: Path) -> None:
    into = network()
    state = {name: nn.Parameter(t) if t.is_floating_point() else t for name, t in other.items()}
    load_weights(into, save_checkpoint(state, tmp_path))
    assert_loaded(into, other)


def test_counters_may_be_missing(other: State, tmp_path: Path) -> None:
    state = {name: t for name, t in other.items() if not name.endswith("num_batches_tracked")}
    into = network()
    load_weights(into, save_safetensors(state, tmp_path))
    assert_loaded(into, state)


def test_running_statistics_may_not_be_missing(other: State, tmp_path: Path) -> None:
    state = {name: t for name, t in other.items() if name != "bn1.running_var"}
    assert_refused(save_safetensors(state, tmp_path), "missing: bn1.running_var")


def test_misfits_are_all_told_and_nothing_is_loaded(other: State, tmp_path: Path) -> None:
    state = other | {"extra.weight": torch.zeros(3)}
    del state["conv1.weight"], state["bn1.bias"]
    state["linear.weight"] = torch.zeros(100, 64)
    message = assert_refused(save_safetensors(state, tmp_path), "do not match the network")
    assert "missing: conv1.weight, bn1.bias" in message
    assert "not in the network: extra.weight" in message
    assert "linear.weight: expected shape (10, 64), got (100, 64)" in message


def test_weights_for_other_classes_are_told(tmp_path: Path) -> None:
    path = save_checkpoint(network(classes=100).state_dict(), tmp_path)
    message = assert_refused(path, r"linear\.weight: expected shape \(10, 64\), got \(100, 64\)")
    assert "linear.bias: expected shape (10,), got (100,)" in message


def test_weights_of_another_network_are_told_in_short(tmp_path: Path) -> None:
    path = save_checkpoint(
        nn.Sequential(*(nn.Linear(2, 2) for _ in range(9))).state_dict(), tmp_path
    )
    message = assert_refused(path, r"missing: conv1\.weight, bn1\.weight, .* and \d+ more")
    assert "not in the network: 0.weight, 0.bias, 1.weight, 1.bias, 2.weight and 13 more" in message


def test_a_pickled_model_is_refused(tmp_path: Path) -> None:
    path = save_checkpoint(network(), tmp_path)
    message = assert_refused(path, "contains more than tensors, which could run code")
    assert "save only network.state_dict()" in message


class Trap:
    """Unpickled, it would leave a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("save", [save_checkpoint, save_old_checkpoint])
def test_no_code_of_a_file_runs(
    save: Callable[[object, Path], Path], other: State, tmp_path: Path
) -> None:
    mark = tmp_path / "sprung"
    assert_refused(save({"state_dict": other, "trap": Trap(mark)}, tmp_path), "could run code")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([torch.zeros(2)], "expected a state dict in .*, got a list"),
        (torch.zeros(2), "expected a state dict in .*, got a Tensor"),
        ({}, "missing: conv1.weight"),
        ({"state_dict": {}}, "missing: conv1.weight"),
        ({"epoch": 3}, "missing: conv1.weight"),
    ],
)
def test_what_is_no_state_dict_is_told(content: object, said: str, tmp_path: Path) -> None:
    assert_refused(save_checkpoint(content, tmp_path), said)


def test_missing_files_are_told(tmp_path: Path) -> None:
    assert_refused(tmp_path / "nowhere.safetensors", "no weights file at ")
    assert_refused(tmp_path, "no weights file at ")


@pytest.mark.parametrize("save", [save_safetensors, save_checkpoint, save_old_checkpoint])
def test_truncated_files_are_told(
    save: Callable[[State, Path], Path], other: State, tmp_path: Path
) -> None:
    path = save(other, tmp_path)
    whole, rng = path.read_bytes(), random.Random(0)
    lengths = [0, 1, 2, 3, 4, 8, 20, 100, len(whole) - 1]
    for length in [*lengths, *(rng.randrange(len(whole)) for _ in range(20))]:
        path.write_bytes(whole[:length])
        assert_refused(path, "cannot be read as weights|contains more than tensors|a state dict")


@pytest.mark.parametrize("text", [b"hello", b"\0" * 64, b"<html></html>", b"{}", b"\x80\x04."])
@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_other_files_are_told(text: bytes, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(text)
    assert_refused(path, "cannot be read as weights|contains more than tensors|a state dict")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda weight: weight.to("meta"), "got a sparse, quantized or meta tensor"),
        (lambda weight: weight.to_sparse(), "got a sparse, quantized or meta tensor"),
        (lambda weight: weight.to(torch.complex64), "got complex values"),
        (lambda weight: weight * math.nan, "it contains NaN or infinite values"),
        (lambda weight: weight + math.inf, "it contains NaN or infinite values"),
    ],
    ids=["without data", "sparse", "complex", "NaN", "infinite"],
)
def test_numbers_that_cannot_be_taken_are_told(
    spoil: Callable[[torch.Tensor], torch.Tensor], told: str, tmp_path: Path
) -> None:
    network = build_model("resnet8", 10, 3)
    state = network.state_dict() | {"linear.bias": spoil(network.state_dict()["linear.bias"])}
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=f"linear.bias: .*{told}"):
        load_weights(network, tmp_path / "w.pt")
