"""Check whether search images are as hard as test images for given weights.

ResNet-20 with given weights on CIFAR-10, or a folder like it. Its accuracy on the search split and
on the test split is compared, where the search images are training images, as up to 0.4.0, and
where they are half of the test images, the default since 0.5.0: for split seed 0 as a search loads
them, and for more seeds from the answers to the same images. The target is one point, for the
default with split seed 0.

    python benchmarks/unseen.py --data path/to/cifar10 --weights resnet20.safetensors
"""

import argparse
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from paredown.benchmarks.common import environment, table, write_result
from paredown.objectives.accuracy.confidence import CorrectCounts, UnpairedDifference
from paredown.objectives.accuracy.scoring import score
from paredown.objectives.data import DataRequest, ImageSet, MemoryImages, split_parts
from paredown.objectives.evaluation.task import Task
from paredown.objectives.training.device import threads
from paredown.objectives.training.recipe import Recipes

MOST_POINTS = 1.0


@dataclass(frozen=True)
class Seen:
    """The baseline's results on one pair of splits."""

    search_from: str
    split_seed: int
    difference: UnpairedDifference

    def to_dict(self) -> dict[str, object]:
        """JSON-ready values; accuracies in percent, the rest in percentage points."""
        search, test = self.difference.first, self.difference.second
        low, high = self.difference.interval
        return {
            "search_from": self.search_from,
            "split_seed": self.split_seed,
            "search_images": search.counts[0][1],
            "test_images": test.counts[0][1],
            "search": round(search.accuracy, 3),
            "test": round(test.accuracy, 3),
            "difference": round(self.difference.points, 3),
            "low": round(low, 3),
            "high": round(high, 3),
        }


def answers(task: Task, images: ImageSet) -> MemoryImages:
    """Whether the baseline is right: one pixel per image, 1 for right and 0 for wrong.

    As images, they can be split in the same way.
    """
    result = score(task.build(), images, task.splits.normalisation)
    return MemoryImages(result.correct.to(torch.uint8)[:, None, None, None], images.labels)


def seen(search: MemoryImages, test: MemoryImages, source: str, seed: int) -> Seen:
    """Compute the results from the answers to both splits."""
    counts = [(int(images.images.sum()), len(images)) for images in (search, test)]
    first, second = (CorrectCounts((count,)) for count in counts)
    return Seen(source, seed, UnpairedDifference(first, second))


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Check whether search images are as hard as test images."
    )
    parser.add_argument("--data", required=True, help="folder with train/ and test/, or a set")
    parser.add_argument(
        "--weights", required=True, type=Path, help="weights of the ResNet-20 on that data"
    )
    parser.add_argument("--seeds", type=int, default=20, help="number of split seeds")
    arguments = parser.parse_args()
    began, request, measurements = time.monotonic(), DataRequest(arguments.data), list[Seen]()
    with threads(1):
        for wanted in (replace(request, search="train"), request):
            task = Task.load("resnet20", wanted, Recipes(), 0, arguments.weights)
            search, test = (answers(task, part) for part in (task.splits.search, task.splits.test))
            measurements.append(seen(search, test, str(task.splits.search_from), 0))
            if wanted.search == "train":
                whole = test  # all test images
    for seed in range(1, arguments.seeds):
        parts, wanted = {"train": whole, "test": whole}, replace(request, search="test", seed=seed)
        _, search, test = split_parts(parts, wanted)
        measurements.append(seen(search, test, "test", seed))
    halves = [seen.difference.points for seen in measurements[1:]]
    holds = abs(halves[0]) <= MOST_POINTS
    data = {
        "surroundings": environment(),
        "minutes": round((time.monotonic() - began) / 60, 1),
        "baseline": [seen.to_dict() for seen in measurements],
        "halves": {
            "seeds": len(halves),
            "mean": statistics.mean(halves),
            "within_a_point": sum(abs(value) <= MOST_POINTS for value in halves),
        },
        "holds": holds,
    }
    head = ["search images from", "split seed", "search", "test", "difference", "95 % interval"]
    rows = [
        [
            seen.search_from,
            str(seen.split_seed),
            f"{seen.difference.first.accuracy:.2f} %",
            f"{seen.difference.second.accuracy:.2f} %",
            f"{seen.difference.points:+.2f}",
            "{:+.2f} to {:+.2f}".format(*seen.difference.interval),
        ]
        for seen in measurements
    ]
    print(table(head, rows))
    print(f"written to {write_result('unseen', data)}")
    if not holds:
        raise SystemExit(f"the target of {MOST_POINTS:g} point is missed")


if __name__ == "__main__":
    main()
