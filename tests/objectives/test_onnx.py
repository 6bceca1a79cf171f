"""What is scored is what ships: the file of every width agrees with the network it comes from."""

import importlib.util
import math
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import NamedTuple

import onnx
import onnxruntime
import pytest
import torch
from paredown.errors import InputError, TrainingDiverged
from paredown.objectives.accuracy.scoring import score
from paredown.objectives.cost.cost import measure
from paredown.objectives.data import MemoryImages, Splits
from paredown.objectives.data.transforms import Normalisation
from paredown.objectives.evaluation.evaluator import Evaluator
from paredown.objectives.evaluation.outcome import Outcome
from paredown.search.onnx import OnnxModel, initializer_bytes, score_file, write_onnx
from paredown.spaces.apply import apply_phase
from paredown.spaces.graph.input_sizes import analyse
from paredown.spaces.graph.tracing import on_meta
from paredown.spaces.plan import Plan
from paredown.spaces.quantization.layers import Quantized, quantized
from paredown.spaces.quantization.widths import find_width, shipped_widths
from paredown.spaces.space import Space
from paredown.spaces.technique import ApplyContext, Phase
from torch import nn

SHIPPED = [width.name for width in shipped_widths()]
OF_EVERY_WIDTH = pytest.mark.parametrize("width", SHIPPED)
STORED = {32: "FLOAT", 16: "FLOAT16", 8: "INT8", 4: "INT4"}
FEWEST_WEIGHTS = 144
"""Of the stem; nothing else in the network is as large but weights."""


class Written(NamedTuple):
    """A plan, as it was scored and as a file."""

    outcome: Outcome
    network: nn.Module
    path: Path


Write = Callable[[Plan], Written]


@pytest.fixture(scope="module")
def judge(evaluator: Evaluator) -> Evaluator:
    """The evaluator of the small trained network, over plans of every width."""
    options = {
        "bits": (*SHIPPED, "w2a8", "w2a8+edges"),
        "quantizer": ("ptq", "qat"),
        "resolution": (1.0, 0.5),
    }
    space = Space.of(evaluator.space.blueprint, options)
    progress = type(evaluator.timer.progress)()
    return Evaluator(evaluator.task, space, evaluator.cache, progress)


@pytest.fixture(scope="module")
def write(judge: Evaluator, tmp_path_factory: pytest.TempPathFactory) -> Write:
    folder = tmp_path_factory.mktemp("files")

    @lru_cache
    def write(plan: Plan) -> Written:
        outcome, network = judge.evaluate(plan), judge.network(plan)
        path = folder / f"{plan.key}.onnx"
        write_onnx(network, torch.zeros(2, 1, 8, 8), path)
        return Written(outcome, network, path)

    return write


def everywhere(width: str) -> Plan:
    """A width in every stage; the first and last layer get 8 bits at least."""
    edge = find_width(width).at_edge().name
    bits = dict.fromkeys(("stage1", "stage2", "stage3"), width) | {"stem": edge, "head": edge}
    return Plan.of({"bits": bits})


def shown(digits: Splits, count: int) -> torch.Tensor:
    (pixels, _), *_ = digits.search.batches(count)
    return digits.normalisation(pixels)


def tensors(path: Path) -> list[onnx.TensorProto]:
    """Everything with numbers in a file."""
    graph = onnx.load(path).graph
    constants = [
        attribute.t
        for node in graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    ]
    return [*graph.initializer, *constants]


def kind_of(tensor: onnx.TensorProto) -> str:
    return str(onnx.TensorProto.DataType.Name(tensor.data_type))


# Every width of the trained network


@OF_EVERY_WIDTH
def test_files_are_worth_what_was_scored(
    width: str, write: Write, digits: Splits, judge: Evaluator
) -> None:
    outcome, network, path = write(everywhere(width))
    result = score_file(path, digits.search, digits.normalisation)
    assert outcome.accuracy > 60
    assert result.accuracy == pytest.approx(outcome.accuracy, abs=0.5)
    same = result.correct == score(network, digits.search, digits.normalisation).correct
    assert float(same.double().mean()) > 0.99
    assert initializer_bytes(path) == pytest.approx(outcome.cost.bytes, rel=0.05)
    assert path.stat().st_size > initializer_bytes(path)


@OF_EVERY_WIDTH
def test_files_hold_each_weight_in_its_width(width: str, write: Write) -> None:
    _, network, path = write(everywhere(width))
    large = Counter[str]()
    for tensor in tensors(path):
        size = math.prod(tensor.dims)
        if size >= FEWEST_WEIGHTS:
            large[kind_of(tensor)] += size
    wanted = Counter[str]()
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            wanted[STORED[getattr(module, "weight_bits", 32)]] += module.weight.numel()
    assert large == wanted
    assert STORED[find_width(width).weights] in large


@OF_EVERY_WIDTH
def test_files_take_any_number_of_images(width: str, write: Write, digits: Splits) -> None:
    _, network, path = write(everywhere(width))
    model, images = OnnxModel(path), shown(digits, 5)
    with torch.no_grad():
        wanted = network(images)
    together, alone = model(images), torch.cat([model(image[None]) for image in images])
    assert together.shape == wanted.shape == (5, 10)
    assert together.dtype == torch.float32
    # A number on the border between two levels may fall on either side.
    exact = find_width(width).activations == 32
    allowed = (1e-4 if exact else 0.1) * float(wanted.abs().max())
    assert float((together - wanted).abs().max()) < allowed
    assert float((alone - together).abs().max()) < allowed


@OF_EVERY_WIDTH
def test_files_are_sound_and_tell_nothing_of_this_machine(width: str, write: Write) -> None:
    path = write(everywhere(width)).path
    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(path)
    (read,), (written,) = model.graph.input, model.graph.output
    assert (read.name, written.name) == ("images", "scores")
    sides = [side.dim_value or side.dim_param for side in read.type.tensor_type.shape.dim]
    assert sides == ["batch", 1, 8, 8]
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 21)]
    content = path.read_bytes()
    here = Path(__file__).resolve().parents[2]
    for secret in (str(here), str(Path.home()), "site-packages", ".py", "Traceback"):
        assert secret.encode() not in content
    assert [file.name for file in path.parent.glob(f"{path.stem}*")] == [path.name]


def test_integers_are_computed_as_integers(write: Write) -> None:
    """Every convolution reads dequantized numbers, and so does every sum."""
    graph = onnx.load(write(everywhere("w8a8")).path).graph
    makers = {output: node.op_type for node in graph.node for output in node.output}
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm", "MatMul"):
            assert [makers.get(name) for name in node.input[:2]] == ["DequantizeLinear"] * 2
        if node.op_type == "Add":
            assert "DequantizeLinear" in [makers.get(name) for name in node.input]


@pytest.mark.parametrize("width", ["w8a8", "w4a8"])
def test_no_optimization_changes_what_integers_compute(
    width: str, write: Write, digits: Splits
) -> None:
    """Onnxruntime makes integers of the biases; they are at these levels already.

    One at another level shifts whole channels by up to half a step, and many roundings with them.
    """
    path = write(everywhere(width)).path
    images, plainly = shown(digits, 64), onnxruntime.SessionOptions()
    plainly.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, plainly, providers=["CPUExecutionProvider"])
    wanted = torch.from_numpy(session.run(None, {"images": images.numpy()})[0])
    apart = (OnnxModel(path)(images) - wanted).abs().mean() / wanted.abs().mean()
    assert float(apart) < 0.002


@pytest.mark.parametrize("width", ["w8a8", "w4a8"])
def test_biases_are_at_the_levels_that_integer_arithmetic_has(width: str, write: Write) -> None:
    graph = onnx.load(write(everywhere(width)).path).graph
    numbers = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    biased = [node for node in graph.node if node.op_type in ("Conv", "Gemm")]
    assert len(biased) == 8
    for node in biased:
        reads, weights = makers[node.input[0]], makers[node.input[1]]
        step = numbers[reads.input[1]].astype("float64") * numbers[weights.input[1]]
        levels = numbers[node.input[2]] / step
        assert abs(levels - levels.round()).max() < 0.01
        assert abs(levels).max() < 2**31


# The network


def test_writing_leaves_the_network(judge: Evaluator, digits: Splits, tmp_path: Path) -> None:
    bits = {"stem": "w16a16", "stage1": "w8a8", "stage2": "w4a8"}
    network = judge.network(Plan.of({"bits": bits}))
    for name in ("conv1", "layer3"):
        network.get_submodule(name).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    names = [(name, type(module)) for name, module in network.named_modules()]
    modes = [module.training for module in network.modules()]
    write_onnx(network, torch.zeros(2, 1, 8, 8), tmp_path / "one.onnx")
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert [(name, type(module)) for name, module in network.named_modules()] == names
    assert [module.training for module in network.modules()] == modes
    again = judge.network(Plan.of({"bits": bits}))
    with torch.no_grad():
        assert torch.equal(network.eval()(shown(digits, 16)), again(shown(digits, 16)))


def test_whole_plans_are_written(write: Write, digits: Splits) -> None:
    bits = {"stem": "w8a8", "stage1": "w4a8", "stage2": "w8a32", "stage3": "w16a16", "head": "w8a8"}
    plan = Plan.of(
        {
            "block": {"stage2": "separable"},
            "prune": {"stage1": 0.25, "stage3": 0.5},
            "resolution": {"input": 0.5},
            "bits": bits,
        }
    )
    outcome, network, path = write(plan)
    score = score_file(path, digits.search, digits.normalisation)
    assert score.accuracy == pytest.approx(outcome.accuracy, abs=0.5)
    # Small as it is, the places of the shortcuts' channels weigh more than a twentieth.
    indices = sum(8 * math.prod(t.dims) for t in tensors(path) if kind_of(t) == "INT64")
    assert initializer_bytes(path) - indices == pytest.approx(outcome.cost.bytes, rel=0.05)
    techniques = {kind_of(tensor) for tensor in tensors(path)}
    assert techniques >= {"INT4", "INT8", "FLOAT16", "FLOAT"}
    with torch.no_grad():
        wanted = network(shown(digits, 5))
    assert float((OnnxModel(path)(shown(digits, 5)) - wanted).abs().max()) < 0.1 * float(
        wanted.abs().max()
    )


def test_training_at_few_bits_beats_calibration(judge: Evaluator) -> None:
    bits = {"bits": dict.fromkeys(judge.space.blueprint.stages, "w2a8+edges")}
    plan = Plan.of(bits | {"quantizer": {"network": "qat"}})
    calibrated, trained = judge.evaluate(Plan.of(bits)), judge.evaluate(plan)
    assert trained.accuracy > calibrated.accuracy + 1
    assert trained.cost == calibrated.cost
    stages, promised = vars(judge.timer.progress)["stages"], vars(judge.timer.progress)["promised"]
    assert promised[-2:] == [judge.task.recipes.quantize.epochs, 0]
    epochs = len(vars(judge.timer.progress)["epochs"])
    stages.clear()
    again = judge.evaluate(plan)
    assert len(vars(judge.timer.progress)["epochs"]) == epochs  # from the cache
    assert stages == ["quantize", "score"]
    assert (again.accuracy, again.cost) == (trained.accuracy, trained.cost)


# Layers of every sort


class Zoo(nn.Module):
    """A convolution of each sort, and batch norm that cannot be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.same = nn.Conv2d(3, 8, (3, 5), padding="same", bias=False)
        self.valid = nn.Conv2d(8, 8, 3, padding="valid")
        self.norm = nn.BatchNorm2d(8)
        self.grouped = nn.Conv2d(8, 12, 3, stride=2, padding=1, groups=4)
        self.depthwise = nn.Conv2d(12, 12, 3, padding=2, dilation=2, groups=12)
        self.reflecting = nn.Conv2d(12, 8, 3, padding=1, padding_mode="reflect")
        self.circular = nn.Conv2d(8, 8, (3, 1), padding=(1, 0), padding_mode="circular")
        self.hidden = nn.Linear(8, 16, bias=False)
        self.last = nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(torch.relu(self.valid(self.same(x))))
        x = torch.relu(self.depthwise(self.grouped(x)))
        x = torch.sigmoid(self.circular(self.reflecting(x)))
        out: torch.Tensor = self.last(torch.relu(self.hidden(x.mean((2, 3)))))
        return out


class Linears(nn.Sequential):
    """Nothing but linear layers."""

    def __init__(self) -> None:
        super().__init__(
            nn.Flatten(), nn.Linear(3 * 36, 48, bias=False), nn.ReLU(), nn.Linear(48, 4)
        )


def rounded(network: nn.Module, width: str, images: torch.Tensor) -> nn.Module:
    """A network with all its layers at a width."""
    blueprint = analyse(on_meta(network), images[:2].to("meta"))
    plan = Plan.of({"bits": dict.fromkeys(blueprint.stages, width)})
    context = ApplyContext(images[:2], [(images, torch.zeros(len(images)))])
    return apply_phase(network.eval(), blueprint, plan, Phase.QUANTIZE, context).eval()


def random_images(count: int, side: int = 9) -> torch.Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("width", ["w8a8", "w4a16+edges"])
def test_convolutions_of_every_sort_are_written(width: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, images, path = Zoo(), random_images(32), tmp_path / "zoo.onnx"
    changed = rounded(network, width, images)
    assert sum(isinstance(module, Quantized) for module in changed.modules()) == 8
    write_onnx(changed, images[:2], path)
    with torch.no_grad():
        wanted = changed(images)
    error = float((OnnxModel(path)(images) - wanted).norm() / wanted.norm())
    assert error < {"w8a8": 0.02, "w4a16+edges": 0.005}[width]
    onnx.checker.check_model(path, full_check=True)


@pytest.mark.parametrize(
    "width", ["w32a32", "w8a8", "w4a8+edges", "w6a8", "w3a32+edges", "w32a16", "w32a8", "w16a8"]
)
def test_linear_layers_alone_are_written(width: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, images, path = Linears(), random_images(32, 6), tmp_path / "linears.onnx"
    changed = rounded(network, width, images)
    write_onnx(changed, images[:2], path)
    with torch.no_grad():
        wanted = changed(images)
    error = float((OnnxModel(path)(images) - wanted).norm() / wanted.norm())
    assert error < 0.02
    bit_width = find_width(width)
    if bit_width.ships:
        assert initializer_bytes(path) == pytest.approx(measure(changed, images).bytes, rel=0.05)
    stored = min(bits for bits in STORED if bits >= bit_width.weights)  # simulated: the next wider
    large = {kind_of(tensor) for tensor in tensors(path) if math.prod(tensor.dims) > 100}
    assert large == {STORED[stored]}


@pytest.mark.parametrize("width", ["w8a16", "w4a16", "w16a16"])
def test_scales_too_small_for_float16_are_kept(width: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    first, images, path = nn.Linear(12, 8, bias=False), torch.randn(32, 3, 2, 2), tmp_path / "small"
    with torch.no_grad():
        first.weight *= 1e-4
    layer = quantized(first, find_width(width), None)
    network = nn.Sequential(nn.Flatten(), layer, nn.Softsign()).eval()
    write_onnx(network, images[:2], path)
    with torch.no_grad():
        wanted = network(images)
    assert float((OnnxModel(path)(images) - wanted).norm() / wanted.norm()) < 0.005


# What goes wrong


def test_scores_that_are_no_numbers_are_told_of(tmp_path: Path) -> None:
    network = Linears()
    nn.init.constant_(network.get_submodule("3").get_parameter("bias"), math.nan)
    write_onnx(network, random_images(2, 6), tmp_path / "nan.onnx")
    images = MemoryImages(torch.zeros(4, 3, 6, 6, dtype=torch.uint8), torch.arange(4))
    plain = Normalisation((0.5,) * 3, (1.0,) * 3)
    with pytest.raises(TrainingDiverged, match=r"outputs of .* are not finite"):
        score_file(tmp_path / "nan.onnx", images, plain)


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ({"onnx", "onnxscript", "onnxruntime"}, "onnx and onnxscript and onnxruntime"),
        ({"onnxruntime"}, "needs onnxruntime,"),
    ],
)
def test_a_missing_extra_is_told_of(
    missing: set[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = importlib.util.find_spec

    def find_spec(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name in missing else really(name, package)

    monkeypatch.setattr("importlib.util.find_spec", find_spec)
    path = tmp_path / "one.onnx"
    with pytest.raises(InputError, match=said) as caught:
        write_onnx(Linears(), random_images(2, 6), path)
    assert "pip install 'paredown[onnx]'" in str(caught.value)
    assert not path.exists()
    with pytest.raises(InputError, match="running an ONNX file needs"):
        OnnxModel(path)
