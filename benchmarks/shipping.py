"""Check that exported files match the scored networks, at each bit-width.

ResNet-20, on digits as the default study trains it, and on CIFAR-10 or a folder like it with given
weights. For each bit-width of the default space, everywhere at once: the accuracy that a search
records, that of the ONNX file under onnxruntime on the same images of the search split, the
predicted bytes, and the bytes of the tensors in the file. The targets: half a point, and 5 %.

    python benchmarks/shipping.py --data path/to/cifar10 --weights resnet20.safetensors
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from paredown.benchmarks.common import environment, table, write_result
from paredown.objectives.data import DataRequest
from paredown.objectives.evaluation.evaluator import Evaluator
from paredown.objectives.evaluation.task import Task
from paredown.objectives.training.cache import Cache
from paredown.objectives.training.device import threads
from paredown.objectives.training.recipe import Recipes
from paredown.search.onnx import initializer_bytes, score_file, write_onnx
from paredown.search.study.config import load_config
from paredown.spaces.graph.tracing import example_images
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.space import Space
from paredown.spaces.techniques import TECHNIQUES

MOST_POINTS, MOST_BYTES = 0.5, 0.05


@dataclass(frozen=True)
class Shipped:
    """One bit-width of one network.

    Attributes:
        bits: stage -> bit-width.
        recorded, in_file: accuracy in percent on the search split.
        predicted_bytes, file_bytes: size of the weights.
    """

    bits: dict[str, str]
    recorded: float
    in_file: float
    predicted_bytes: int
    file_bytes: int

    @property
    def holds(self) -> bool:
        """Whether both targets are met."""
        points = abs(self.recorded - self.in_file)
        return points <= MOST_POINTS and abs(self.excess) <= MOST_BYTES

    @property
    def excess(self) -> float:
        """The excess of the file's bytes over the predicted ones, as a share."""
        return self.file_bytes / self.predicted_bytes - 1


def plans(space: Space) -> Iterator[tuple[str, Plan]]:
    """The plans of each width of the default space wherever it fits, wider ones elsewhere."""
    offered = [str(option) for option in TECHNIQUES.get("bits").default_options()]
    yield offered[0], Plan()
    yield from zip(offered[1:], space.at_other_bits(Plan()), strict=True)


def shipped(evaluator: Evaluator, plan: Plan, folder: Path) -> Shipped:
    """Evaluate a plan as a search does, write its network, and score the file."""
    task, path = evaluator.task, folder / "network.onnx"
    outcome = evaluator.evaluate(plan)
    write_onnx(
        evaluator.network(plan), example_images(task.splits.channels, task.splits.size, "cpu"), path
    )
    again = score_file(path, task.splits.search, task.splits.normalisation)
    return Shipped(
        bits={place: str(value) for place, value in plan.chosen("bits").items()},
        recorded=round(outcome.accuracy, 3),
        in_file=round(again.accuracy, 3),
        predicted_bytes=outcome.cost.bytes,
        file_bytes=initializer_bytes(path),
    )


def tasks(data: str | None, weights: Path | None) -> Iterator[tuple[str, Task]]:
    """Digits, and the data set of the command line."""
    config = load_config("digits", {})
    yield "digits", Task.load("resnet20", config.data.request(), config.recipes, 0, None)
    if data is not None:
        yield "CIFAR-10", Task.load("resnet20", DataRequest(data), Recipes(), 0, weights)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Check that exported files match the scored networks."
    )
    parser.add_argument("--data", help="folder with train/ and test/, or a set")
    parser.add_argument("--weights", type=Path, help="weights of the ResNet-20 on that data")
    arguments = parser.parse_args()
    results, lines = dict[str, dict[str, object]](), list[list[str]]()
    with tempfile.TemporaryDirectory() as folder, threads(1):
        for name, task in tasks(arguments.data, arguments.weights):
            images = example_images(task.splits.channels, task.splits.size)
            space = Space.of(trace_with_groups(task.build(), images))
            evaluator = Evaluator(task, space, Cache())
            for width, plan in plans(space):
                item = shipped(evaluator, plan, Path(folder))
                results.setdefault(name, {})[width] = asdict(item) | {"holds": item.holds}
                lines.append(
                    [
                        f"{name}, {width}",
                        f"{item.recorded:.2f} %",
                        f"{item.in_file:.2f} %",
                        f"{item.predicted_bytes:,}",
                        f"{item.file_bytes:,} ({item.excess:+.1%})",
                        "yes" if item.holds else "NO",
                    ]
                )
                print(" | ".join(lines[-1]), flush=True)
    data = {"surroundings": environment("onnx", "onnxruntime", "onnxscript"), "shipped": results}
    head = ["network", "recorded", "in the file", "bytes predicted", "bytes in the file", "holds"]
    print(table(head, lines))
    print(f"written to results/{write_result('shipping', data).name}")


if __name__ == "__main__":
    main()
