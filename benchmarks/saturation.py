"""Compare 8-bit files on processors with and without VNNI, and measure the price of equality.

x86 processors without VNNI add pairs of products in 16 bits that saturate, so that an int8 file may
give other results there than where it was made. Four ways to round weights to 8 bits are compared:

- "8 bits", as in Paredown up to 0.4: levels up to 127, whatever saturates;
- "pairs", as since then: a channel's step is widened until any two of its weights fit;
- "7 bits", as `reduce_range` of onnxruntime and `overflow_fix` of NNCF: levels up to 63;
- "unsigned", the file of "8 bits" with its weights moved to uint8 and a zero point of 128.

Networks: ResNet-20 on digits as the default study trains it, the same with depthwise blocks, and
with --data and --weights a ResNet-20 on CIFAR-10 or a folder like it. All are at w8a8 by
calibration. Accuracy is the file's on the test split, paired with that of "8 bits". Where
`qemu-x86_64` is on the PATH (Debian: qemu-user), the files also answer some of these images on an
emulated Haswell, which has AVX2 and no VNNI. A ResNet-18 at 224 px is timed as well.

    python benchmarks/saturation.py --data path/to/cifar10 --weights resnet20.safetensors
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy
import torch
from paredown.benchmarks.common import environment, table, write_result
from paredown.benchmarks.latency import write_files
from paredown.objectives.accuracy.confidence import PairedDrop
from paredown.objectives.accuracy.scoring import score
from paredown.objectives.data import DataRequest, ImageSet, MemoryImages, Normalisation
from paredown.objectives.evaluation.evaluator import Evaluator
from paredown.objectives.evaluation.task import Task
from paredown.objectives.training.cache import Cache
from paredown.objectives.training.device import threads
from paredown.objectives.training.recipe import Recipes
from paredown.search.export.latency import latencies
from paredown.search.onnx import OnnxModel, saturating_channels, score_file, write_onnx
from paredown.search.study.config import load_config
from paredown.spaces.graph.tracing import example_images
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.quantization import layers, rounding
from paredown.spaces.space import Space
from paredown.spaces.techniques import TECHNIQUES

BEFORE, NOW, SEVEN, UNSIGNED = "8 bits", "pairs", "7 bits", "unsigned"
WIDTH, BLOCK = "w8a8", "inverted"
EMULATOR, PROCESSOR = "qemu-x86_64", "Haswell"
_REPEATS = 3

_ANSWER = """\
import sys
import numpy
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads, options.log_severity_level = 1, 3
images, answers = numpy.load(sys.argv[1]), {}
for path in sys.argv[3:]:
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (answers[path],) = session.run(None, {session.get_inputs()[0].name: images})
numpy.savez(sys.argv[2], **answers)
"""
"""Script that runs files with onnxruntime and numpy alone; arguments: images, output, files."""


@contextmanager
def weights_rounded(how: str) -> Iterator[None]:
    """Quantize networks inside the context with one of the rounding variants."""
    plain, all_levels = rounding.highest_level, 2 * rounding.highest_level(8)
    with ExitStack() as changed:
        if how != NOW:
            changed.enter_context(patch.object(rounding, "LARGEST_PAIR", all_levels))
        if how == SEVEN:
            fewer = {8: plain(7)}
            changed.enter_context(
                patch.object(rounding, "highest_level", lambda bits: fewer.get(bits, plain(bits)))
            )
        yield


def with_unsigned_weights(path: Path, written: Path) -> None:
    """Convert the int8 weights of a file to uint8, with a zero point of 128 in each channel."""
    import onnx

    model = onnx.load(path)
    graph = model.graph
    tensors = {item.name: item for item in graph.initializer}
    for node in graph.node:
        weight = tensors.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if weight is None or weight.data_type != onnx.TensorProto.INT8:
            continue
        levels = onnx.numpy_helper.to_array(weight).astype("int16") + 128
        weight.CopyFrom(onnx.numpy_helper.from_array(levels.astype("uint8"), weight.name))
        points = numpy.full(len(levels), 128, "uint8")
        graph.initializer.append(onnx.numpy_helper.from_array(points, f"{weight.name}.zero_point"))
        node.input.append(f"{weight.name}.zero_point")
    onnx.save(model, written)


def elsewhere(files: Mapping[str, Path], images: numpy.ndarray[Any, Any]) -> dict[str, Any] | None:
    """The scores of files on a processor without VNNI; None without the emulator."""
    emulator = shutil.which(EMULATOR)
    if emulator is None:
        return None
    with tempfile.TemporaryDirectory() as place:
        shown, output_path = Path(place) / "images.npy", Path(place) / "answers.npz"
        numpy.save(shown, images)
        python = str(Path(sys.executable).resolve())
        words = [emulator, "-cpu", PROCESSOR, python, "-c", _ANSWER, str(shown), str(output_path)]
        text = os.pathsep.join(name for name in sys.path if name)  # virtual environment
        subprocess.run(
            [*words, *map(str, files.values())],
            check=True,
            capture_output=True,
            env=os.environ | {"PYTHONPATH": text},
        )
        answers = numpy.load(output_path)
        return {name: answers[str(path)] for name, path in files.items()}


def apart(here: Any, there: Any) -> dict[str, float]:
    """Compare two processors' scores, [images, classes]."""
    return {
        "same_class": 100 * float((here.argmax(1) == there.argmax(1)).mean()),
        "difference": float(abs(here - there).max() / abs(here).max()),
    }


@dataclass(frozen=True)
class Case:
    """A network to quantize: the plan of its structure, on a task.

    Attributes:
        most: maximum number of test images.
    """

    name: str
    evaluator: Evaluator
    plan: Plan
    most: int

    @cached_property
    def images(self) -> ImageSet:
        """The images of the test split, decoded once."""
        some = _some(self.evaluator.task.splits.test, self.most)
        return MemoryImages(torch.cat([pixels for pixels, _ in some.batches(256)]), some.labels)

    @property
    def normalisation(self) -> Normalisation:
        return self.evaluator.task.splits.normalisation

    def shown(self, count: int) -> torch.Tensor:
        """Some normalised test images, spread evenly over the split."""
        (pixels, _), *_ = _some(self.images, count).batches(count)
        return self.normalisation(pixels).contiguous()

    def quantized(self) -> torch.nn.Module:
        """The network at w8a8 everywhere."""
        (plan,) = self.evaluator.space.at_other_bits(self.plan)
        return self.evaluator.network(plan).cpu().eval()


def _some(images: ImageSet, most: int) -> ImageSet:
    """At most so many images, spread evenly over a set."""
    count = min(most, len(images))
    return images.subset([number * len(images) // count for number in range(count)])


def cases(data: str | None, weights: Path | None, most: int) -> Iterator[Case]:
    """Digits with original and with depthwise blocks, and the data set of the command line."""
    config = load_config("digits", {})
    digits = Task.load("resnet20", config.data.request(), config.recipes, 0, None)
    options = {"bits": ("w32a32", WIDTH), "block": ("original", BLOCK)}
    evaluator = _evaluator(digits, options)
    yield Case("digits", evaluator, Plan(), most)
    stages = TECHNIQUES.get("block").places(evaluator.space.blueprint, BLOCK)
    yield Case(
        "digits, depthwise", evaluator, Plan.of({"block": dict.fromkeys(stages, BLOCK)}), most
    )
    if data is not None:
        task = Task.load("resnet20", DataRequest(data), Recipes(), 0, weights)
        yield Case("CIFAR-10", _evaluator(task, {"bits": ("w32a32", WIDTH)}), Plan(), most)


def _evaluator(task: Task, options: Mapping[str, tuple[str, ...]]) -> Evaluator:
    images = example_images(task.splits.channels, task.splits.size)
    blueprint = trace_with_groups(task.build(), images)
    return Evaluator(task, Space.of(blueprint, options), Cache())


def compared(case: Case, folder: Path, count: int) -> dict[str, Any]:
    """Measure all variants of one network: accuracy, saturating channels, emulation, speed."""
    folder.mkdir()
    size = case.evaluator.task.splits.size
    images = example_images(case.evaluator.task.splits.channels, size, "cpu")
    files = dict[str, Path]()
    for how in (BEFORE, NOW, SEVEN):
        files[how] = folder / f"{how.replace(' ', '-')}.onnx"
        with weights_rounded(how):  # networks are rounded both when built and when written
            network = case.quantized()
            write_onnx(network, images, files[how])
    files[UNSIGNED] = folder / f"{UNSIGNED}.onnx"
    with_unsigned_weights(files[BEFORE], files[UNSIGNED])
    scores = {how: score_file(path, case.images, case.normalisation) for how, path in files.items()}
    shown = case.shown(count)
    models = {how: OnnxModel(path) for how, path in files.items()}
    here = {how: model(shown).numpy() for how, model in models.items()}
    there = elsewhere(files, shown.numpy())
    return {
        "float32": score(
            case.evaluator.network(case.plan), case.images, case.normalisation
        ).accuracy,
        "images": len(case.images),
        "weight_channels": _channels(network),
        "ways": {
            how: {
                "accuracy": scores[how].accuracy,
                "drop": PairedDrop.between(scores[BEFORE], scores[how]).to_dict(),
                "saturating_channels": sum(saturating_channels(path).values()),
                "without_vnni": apart(here[how], there[how]) if there else None,
            }
            for how, path in files.items()
        },
        "milliseconds": _timed(models, shown[:1]),
        "emulated_images": len(shown) if there else 0,
    }


def _channels(network: torch.nn.Module) -> int:
    """The number of output channels of layers that compute with integers."""
    integers = (module for module in network.modules() if isinstance(module, layers.Rounded))
    return sum(len(layer.weight) for layer in integers if layer.has_pairs)


def _timed(models: Mapping[str, OnnxModel], image: torch.Tensor) -> dict[str, list[float]]:
    """Variant -> median milliseconds for one image, of each repeat, in turns."""
    repeats = [latencies(list(models.values()), image) for _ in range(_REPEATS)]
    return dict(zip(models, map(list, zip(*repeats, strict=True)), strict=True))


def speeds(folder: Path) -> dict[str, list[float]]:
    """Time a ResNet-18 with random weights, one image of 224 px, also in float32."""
    folder.mkdir()
    files = write_files("resnet18", 224, ("w32a32",), folder)
    for how in (BEFORE, NOW):
        (folder / how).mkdir()
        with weights_rounded(how):
            files[how] = write_files("resnet18", 224, (WIDTH,), folder / how)[WIDTH]
    files[UNSIGNED] = folder / "unsigned.onnx"
    with_unsigned_weights(files[BEFORE], files[UNSIGNED])
    image = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    return _timed({how: OnnxModel(path) for how, path in files.items()}, image)


def lines(name: str, results: Mapping[str, Any]) -> Iterator[list[str]]:
    """The rows of the table, one per variant."""
    for how, item in results["ways"].items():
        drop, there = item["drop"], item["without_vnni"]
        yield [
            f"{name}, {how}",
            f"{item['accuracy']:.2f}",
            f"{drop['drop']:+.2f} ({drop['low']:+.2f} to {drop['high']:+.2f})",
            f"{item['saturating_channels']} of {results['weight_channels']}",
            f"{there['same_class']:.1f}" if there else "",
            f"{there['difference']:.0e}" if there else "",
            f"{min(results['milliseconds'][how]):.2f}",
        ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Compare 8-bit files on processors with and without VNNI."
    )
    parser.add_argument("--data", help="folder with train/ and test/, or a set")
    parser.add_argument("--weights", type=Path, help="weights of the ResNet-20 on that data")
    parser.add_argument("--images", type=int, default=10_000, help="maximum number of test images")
    parser.add_argument("--emulated", type=int, default=256, help="images answered by emulation")
    arguments = parser.parse_args()
    results = dict[str, dict[str, Any]]()
    with tempfile.TemporaryDirectory() as folder, threads(1):
        for number, case in enumerate(cases(arguments.data, arguments.weights, arguments.images)):
            results[case.name] = compared(case, Path(folder) / str(number), arguments.emulated)
            for line in lines(case.name, results[case.name]):
                print(" | ".join(line), flush=True)
        speed = speeds(Path(folder) / "speed")
    emulator = f"{EMULATOR} -cpu {PROCESSOR}" if shutil.which(EMULATOR) else None
    data = {
        "surroundings": environment("onnx", "onnxruntime"),
        "emulator": emulator,
        "networks": results,
        "resnet18_milliseconds": speed,
    }
    head = ["network", "%", "drop (95 %)", "can saturate", "same class", "apart", "ms"]
    print(table(head, [line for name, data in results.items() for line in lines(name, data)]))
    shown = [[how, f"{min(ms):.1f}"] for how, ms in speed.items()]
    print(table(["resnet18, 224 px", "ms"], shown))
    print(f"written to results/{write_result('saturation', data).name}")


if __name__ == "__main__":
    main()
