"""Files answer alike on processors that add pairs of products in 16 bits, and on others."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import onnx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paredown.search.onnx import OnnxModel, can_saturate, saturating_channels, write_onnx
from paredown.spaces.apply import apply_phase
from paredown.spaces.graph.input_sizes import analyse
from paredown.spaces.graph.tracing import on_meta
from paredown.spaces.plan import Plan
from paredown.spaces.quantization import rounding
from paredown.spaces.technique import ApplyContext, Phase
from torch import nn

Array = numpy.ndarray[Any, Any]
Multiply = Callable[[Array, Array], Array]
"""Unsigned activations, [batch, in], and signed weights, [out, in] -> sums, [batch, out]."""

OF_EVERY_ORDER = pytest.mark.parametrize("order", ["as stored", "reversed", "drawn"])


class Shapes(nn.Module):
    """Convolutions of every sort that block families use, and sums and concatenations of them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.wide = nn.Conv2d(16, 16, (3, 1), padding=(1, 0))
        self.tall = nn.Conv2d(16, 16, (1, 3), padding=(0, 1), bias=False)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.pointwise = nn.Conv2d(16, 12, 1)
        self.multiplied = nn.Conv2d(12, 24, 3, padding=1, groups=12)
        self.grouped = nn.Conv2d(24, 20, 1, groups=4)
        self.strided = nn.Conv2d(36, 17, 3, stride=2, padding=1)
        self.hidden, self.last = nn.Linear(17, 24), nn.Linear(24, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        x = torch.relu(x + self.tall(torch.relu(self.wide(x))))
        x = torch.relu(self.depthwise(x))
        out = torch.relu(self.grouped(torch.relu(self.multiplied(torch.relu(self.pointwise(x))))))
        x = torch.relu(self.strided(torch.cat([out, x], 1)))
        scores: torch.Tensor = self.last(torch.relu(self.hidden(x.mean((2, 3)))))
        return scores


def linears() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(3 * 36, 33),
        nn.ReLU(),
        nn.Linear(33, 16),
        nn.ReLU(),
        nn.Linear(16, 4),
    )


def written(network: nn.Module, path: Path, width: str = "w8a8", side: int = 6) -> Array:
    """Write a network whose weights are mostly of one sign, which saturates most; its images."""
    images = torch.rand(24, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.weight.add_(0.7 * module.weight.abs().max())
    blueprint = analyse(on_meta(network), images[:2].to("meta"))
    plan = Plan.of({"bits": dict.fromkeys(blueprint.stages, width)})
    context = ApplyContext(images[:2], [(images, torch.zeros(len(images)))])
    changed = apply_phase(network.eval(), blueprint, plan, Phase.QUANTIZE, context).eval()
    write_onnx(changed, images[:2], path)
    return images.numpy()


@pytest.fixture
def all_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights as they were rounded until 0.4: whatever saturates."""
    monkeypatch.setattr(rounding, "LARGEST_PAIR", 2 * rounding.highest_level(8))


def integer_weights(path: Path) -> Iterator[tuple[str, Array]]:
    """What a file stores in 8 bits, [out, in ...], read with nothing of Paredown."""
    for tensor in onnx.load(path).graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT8:
            yield tensor.name, onnx.numpy_helper.to_array(tensor).astype("int64")


def largest_pair(levels: Array) -> int:
    """The most that two weights of one channel and one sign add up to."""
    rows = numpy.sort(levels.reshape(len(levels), -1), axis=1)
    above, below = numpy.maximum(rows[:, -2:], 0), numpy.minimum(rows[:, :2], 0)
    return int(max(above.sum(1).max(), -below.sum(1).min()))


# By arithmetic over what a file stores


@pytest.mark.matrix
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**16))
def test_no_file_can_saturate(seed: int, tmp_path: Path) -> None:
    torch.manual_seed(seed)
    path = tmp_path / f"{seed}.onnx"
    written(Shapes(), path)
    stored = dict(integer_weights(path))
    assert len(stored) == 10
    assert all(largest_pair(levels) * 255 < 2**15 for levels in stored.values())
    assert max(largest_pair(levels) for levels in stored.values()) == 128  # no more than needed
    assert saturating_channels(path) == {}
    assert not can_saturate(path)


def test_files_that_can_saturate_are_known(all_levels: None, tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "one.onnx"
    written(Shapes(), path)
    expected = {
        name: sum(largest_pair(row[None]) > 128 for row in levels)
        for name, levels in integer_weights(path)
    }
    assert saturating_channels(path) == expected
    assert len(expected) == 10
    assert can_saturate(path)


@pytest.mark.parametrize("width", ["w32a32", "w8a32", "w8a16", "w4a8+edges"])
def test_what_is_not_multiplied_in_8_bits_cannot(
    width: str, all_levels: None, tmp_path: Path
) -> None:
    path = tmp_path / "one.onnx"
    written(linears(), path, width)
    assert not can_saturate(path)


def test_weights_may_be_stored_the_other_way_round(tmp_path: Path) -> None:
    """[in, out], as MatMul reads them: a channel is a column."""
    for levels, count in (([[100, 20], [20, 100]], 0), ([[100, 20], [100, -20]], 1)):
        path = tmp_path / "one.onnx"
        onnx.save(_matmul(numpy.array(levels, "int8")), path)
        assert saturating_channels(path) == ({"w": count} if count else {})


def _matmul(levels: Array) -> onnx.ModelProto:
    tensors = {
        "w": levels,
        "s": numpy.ones(2, "float32"),
        "r": numpy.array(1, "float32"),
        "z": numpy.array(0, "uint8"),
    }
    node = onnx.helper.make_node
    nodes = [
        node("QuantizeLinear", ["images", "r", "z"], ["q"]),
        node("DequantizeLinear", ["q", "r", "z"], ["x"]),
        node("DequantizeLinear", ["w", "s"], ["y"], axis=1),
        node("MatMul", ["x", "y"], ["scores"]),
    ]
    sides = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 2])
        for name in ("images", "scores")
    ]
    provided = [onnx.numpy_helper.from_array(numbers, name) for name, numbers in tensors.items()]
    graph = onnx.helper.make_graph(nodes, "one", sides[:1], sides[1:], provided)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)])


# By an emulation of such a processor


def exact(x: Array, weight: Array) -> Array:
    sums: Array = x @ weight.T
    return sums


def in_pairs(x: Array, weight: Array) -> Array:
    """vpmaddubsw and vpmaddwd: two products are added in 16 bits, which saturate, the rest in 32.

    https://www.intel.com/content/www/us/en/docs/intrinsics-guide/index.html#text=maddubs
    """
    if x.shape[1] % 2:
        x, weight = (numpy.pad(numbers, ((0, 0), (0, 1))) for numbers in (x, weight))
    products = x[:, None, :] * weight[None, :, :]
    pairs = products.reshape(*products.shape[:2], -1, 2).sum(3)
    sums: Array = pairs.clip(-(2**15), 2**15 - 1).sum(2)
    return sums


def emulated(path: Path, images: Array, multiply: Multiply, order: str) -> Array:
    """What a file of linear layers answers, its integers multiplied in some order of the inputs."""
    model = onnx.load(path)
    numbers: dict[str, Any] = {
        item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer
    }
    scales = dict[str, Any]()
    numbers["images"] = images
    for node in model.graph.node:
        read: list[Any] = [numbers.get(name) for name in node.input]
        out = node.output[0]
        if node.op_type == "QuantizeLinear":
            levels = numpy.rint(read[0] / read[1]).astype("int64") + read[2]
            numbers[out] = levels.clip(0, 255)
        elif node.op_type == "DequantizeLinear":
            numbers[out] = read[0].astype("int64")
            scales[out] = read[1], int(read[2]) if len(read) > 2 else 0
        elif node.op_type == "Gemm":
            (step, point), (steps, _) = (scales[name] for name in node.input[:2])
            x, weight = read[:2]
            places = _places(x.shape[1], order)
            sums = multiply(x[:, places], weight[:, places]) - point * weight.sum(1)
            numbers[out] = (sums * (step * steps) + read[2]).astype("float32")
        elif node.op_type == "Relu":
            numbers[out] = numpy.maximum(read[0], 0)
        else:
            assert node.op_type in ("Reshape", "Flatten", "Constant", "Shape", "Concat"), node
            numbers[out] = images.reshape(len(images), -1)
    answers: Array = numbers[model.graph.output[0].name]
    return answers


def _places(count: int, order: str) -> Array:
    if order == "drawn":
        return numpy.random.default_rng(0).permutation(count)
    return numpy.arange(count)[:: -1 if order == "reversed" else 1]


@OF_EVERY_ORDER
def test_pairs_in_16_bits_give_what_exact_arithmetic_gives(order: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "one.onnx"
    images = written(linears(), path)
    wanted = emulated(path, images, exact, order)
    assert numpy.array_equal(emulated(path, images, in_pairs, order), wanted)
    answers = OnnxModel(path)(torch.from_numpy(images)).numpy()
    assert abs(answers - wanted).max() < 0.01 * abs(wanted).max()


@OF_EVERY_ORDER
def test_they_did_not_before(order: str, all_levels: None, tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "one.onnx"
    images = written(linears(), path)
    wanted = emulated(path, images, exact, order)
    apart = abs(emulated(path, images, in_pairs, order) - wanted).max()
    assert apart > 0.01 * abs(wanted).max()


@OF_EVERY_ORDER
def test_every_stored_layer_holds_the_largest_activations(order: str, tmp_path: Path) -> None:
    """Those that make a channel's products largest: 255 where its weights have one sign."""
    torch.manual_seed(0)
    path = tmp_path / "one.onnx"
    written(Shapes(), path)
    for _, levels in integer_weights(path):
        rows = levels.reshape(len(levels), -1)
        rows = rows[:, _places(rows.shape[1], order)]
        for worst in (255 * (rows > 0), 255 * (rows < 0)):
            assert numpy.array_equal(in_pairs(worst, rows), exact(worst, rows))


# On such a processor, where qemu-user can play one

_ANSWER = """\
import sys
import numpy
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads, options.log_severity_level = 1, 3
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
(scores,) = session.run(None, {"images": numpy.load(sys.argv[2])})
numpy.save(sys.argv[3], scores)
"""


def without_vnni(path: Path, images: Array) -> Array:
    """What onnxruntime answers on a Haswell, which has AVX2."""
    emulator = shutil.which("qemu-x86_64")
    if emulator is None:
        pytest.skip("no emulator here: apt-get install qemu-user")
    shown, output_path = path.with_suffix(".images.npy"), path.with_suffix(".scores.npy")
    numpy.save(shown, images)
    python = str(Path(sys.executable).resolve())
    words = [
        emulator,
        "-cpu",
        "Haswell",
        python,
        "-c",
        _ANSWER,
        str(path),
        str(shown),
        str(output_path),
    ]
    packages = os.pathsep.join(name for name in sys.path if name)
    environment = os.environ | {"PYTHONPATH": packages}
    subprocess.run(words, check=True, capture_output=True, env=environment)
    scores: Array = numpy.load(output_path)
    return scores


def test_a_processor_without_vnni_answers_alike(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "one.onnx"
    images = written(Shapes(), path, side=9)
    here = OnnxModel(path)(torch.from_numpy(images)).numpy()
    there = without_vnni(path, images)
    assert abs(there - here).max() < 1e-4 * abs(here).max()


def test_a_processor_without_vnni_answered_otherwise(all_levels: None, tmp_path: Path) -> None:
    """Or the test above shows nothing."""
    torch.manual_seed(0)
    path = tmp_path / "one.onnx"
    images = written(Shapes(), path, side=9)
    here = OnnxModel(path)(torch.from_numpy(images)).numpy()
    if "avx512_vnni" not in Path("/proc/cpuinfo").read_text(encoding="utf-8"):
        pytest.skip("this processor has no VNNI itself")
    assert abs(without_vnni(path, images) - here).max() > 1e-3 * abs(here).max()
