"""Time exported files: each bit-width beside float32, under onnxruntime on this machine.

One image at a time. All files are written from one network with random weights, quantized by
calibration, and run in one process, taking turns: a round runs each file once, so that other load
affects all of them alike. The table has medians over rounds, after warm-up, and the speed-up over
float32 (the median over rounds of the ratio within a round).

    python benchmarks/latency.py --models resnet18 --threads 1 2
"""

import argparse
import copy
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from paredown.benchmarks.common import environment, table, write_result
from paredown.search.onnx import OnnxModel, initializer_bytes, write_onnx
from paredown.spaces.apply import apply_phase
from paredown.spaces.models import build_model
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.technique import ApplyContext, Phase
from paredown.spaces.techniques import TECHNIQUES

WIDTHS = ("w32a32", "w16a16", "w8a32", "w8a8", "w4a8")
CLASSES, SEED = 1000, 0
_WARM_UP = 5


@dataclass(frozen=True)
class Timed:
    """The timings of one file.

    Attributes:
        bytes: size of its weights.
        milliseconds: time for one image in each round.
    """

    bytes: int
    milliseconds: list[float]


def write_files(model: str, size: int, widths: Sequence[str], folder: Path) -> dict[str, Path]:
    """Width -> the file of a network quantized to it wherever possible."""
    torch.manual_seed(SEED)
    network = build_model(model, CLASSES, 3).eval()
    images = torch.randn(2, 3, size, size)
    blueprint = trace_with_groups(network, images)
    context = ApplyContext(images, [(images, torch.zeros(2, dtype=torch.long))])
    files = dict[str, Path]()
    for width in widths:
        plan = Plan.of({"bits": TECHNIQUES.get("bits").everywhere(blueprint, width)})
        quantized = apply_phase(copy.deepcopy(network), blueprint, plan, Phase.QUANTIZE, context)
        files[width] = folder / f"{model}-{width}.onnx"
        write_onnx(quantized, images, files[width])
    return files


def timed(files: Mapping[str, Path], size: int, rounds: int, threads: int) -> dict[str, Timed]:
    """Run the files in turns."""
    models = {name: OnnxModel(path, threads) for name, path in files.items()}
    image = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(SEED))
    times: dict[str, list[float]] = {name: [] for name in models}
    for number in range(_WARM_UP + rounds):
        for name, model in models.items():
            begun = time.perf_counter()
            model(image)
            spent = time.perf_counter() - begun
            if number >= _WARM_UP:
                times[name].append(round(1000 * spent, 3))
    return {name: Timed(initializer_bytes(path), times[name]) for name, path in files.items()}


def rows(results: Mapping[str, Timed], label: str) -> list[list[str]]:
    """The rows of the table, one per width."""
    first = next(iter(results.values()))
    return [
        [
            f"{label}, {name}",
            f"{timing.bytes / 1e6:.2f}",
            f"{median(timing.milliseconds):.1f}",
            f"{ratio(first, timing):.2f}x",
        ]
        for name, timing in results.items()
    ]


def ratio(slow: Timed, fast: Timed) -> float:
    """The median speed-up over rounds."""
    pairs = zip(slow.milliseconds, fast.milliseconds, strict=True)
    return median(a / b for a, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time exported files.")
    parser.add_argument("--models", nargs="+", default=["resnet18"])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--widths", nargs="+", default=list(WIDTHS))
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    arguments = parser.parse_args()
    reported, lines = dict[str, object](), list[list[str]]()
    with tempfile.TemporaryDirectory() as folder:
        for model in arguments.models:
            files = write_files(model, arguments.size, arguments.widths, Path(folder))
            for threads in arguments.threads:
                results = timed(files, arguments.size, arguments.rounds, threads)
                label = f"{model}, {threads} thread{'' if threads == 1 else 's'}"
                lines += rows(results, label)
                reported[label] = {
                    name: {
                        "bytes": timing.bytes,
                        "median_ms": round(median(timing.milliseconds), 2),
                        "times_faster": round(ratio(results[arguments.widths[0]], timing), 2),
                        "milliseconds": timing.milliseconds,
                    }
                    for name, timing in results.items()
                }
    data: dict[str, object] = {
        "image": [3, arguments.size, arguments.size],
        "seed": SEED,
        "rounds": arguments.rounds,
        "surroundings": environment("onnx", "onnxruntime", "onnxscript"),
        "latency": reported,
    }
    print(table(["file", "MB of weights", "ms", f"against {arguments.widths[0]}"], lines))
    print(f"written to results/{write_result('latency', data).name}")


if __name__ == "__main__":
    main()
