"""Compare pruning criteria: accuracy after the same removal and the same fine-tuning.

ResNet-20 on CIFAR-10 or a folder of images like it. For each criterion, share of channels and seed,
the trained baseline is pruned, its batch-norm statistics are recalibrated, and the network is
scored, fine-tuned by one recipe, and scored again. All runs start from the same weights, lose the
same number of channels of each stage, see the same images in the same order, and are scored on the
same test images: the weights may have been trained on all the others. No cache is used.

    python benchmarks/criteria.py --data path/to/cifar10 --weights resnet20.safetensors
"""

import argparse
import copy
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import median

import torch
from paredown.benchmarks.common import environment, table, write_result
from paredown.extras import missing_packages
from paredown.objectives.accuracy.scoring import score
from paredown.objectives.cost.pruned_share import PrunedShare, pruned_share
from paredown.objectives.data import DataRequest, ImageSet
from paredown.objectives.evaluation.task import Task
from paredown.objectives.training.device import best_device, threads
from paredown.objectives.training.recipe import Recipe, Recipes
from paredown.objectives.training.training_loop import first_batches, recalibrate_batchnorm, train
from paredown.spaces.apply import apply_phase
from paredown.spaces.criteria import CRITERIA
from paredown.spaces.graph.tracing import example_images
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.shrink import stages_with_groups
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.technique import ApplyContext, Phase

RATIOS = (0.3, 0.5, 0.7)
SEEDS = (0, 1, 2)
RECIPE = Recipe(epochs=2, max_lr=0.01, weight_decay=5e-4, distill=0.5)
IMAGES = 5_000
_EXAMPLES = 4


@dataclass(frozen=True)
class Pruned:
    """The test accuracy of one network in percent.

    Attributes:
        before, after: before and after fine-tuning.
    """

    before: float
    after: float


Results = dict[str, dict[str, list[Pruned]]]


class Bench:
    """A trained network, the images that it is fine-tuned on, and the recipe."""

    def __init__(self, task: Task, images: int) -> None:
        self.task, self.device = task, best_device()
        self.train, self.test = subset(task.splits.train, images), subset(task.splits.test, images)
        self.network = task.build().to(self.device).eval()
        self.images = example_images(task.splits.channels, task.splits.size, self.device)
        self.blueprint = trace_with_groups(self.network, self.images)
        normalisation = task.splits.normalisation
        self.examples = first_batches(self.network, self.train, normalisation, _EXAMPLES)

    @property
    def accuracy(self) -> float:
        """The accuracy of the untouched network."""
        return self._score(self.network)

    def plan(self, criterion: str, ratio: float) -> Plan:
        """The plan that prunes the same share of every stage's channels by one criterion."""
        stages = dict.fromkeys(stages_with_groups(self.blueprint), ratio)
        return Plan.of({"prune": stages, "criterion": {"network": criterion}})

    def removed(self, ratio: float) -> PrunedShare:
        """The removed shares of params and MACs."""
        removed = pruned_share(self.blueprint, self.plan("l1", ratio))
        if removed is None:
            raise ValueError(f"a ratio of {ratio} removes nothing")
        return removed

    def pruned(self, criterion: str, ratio: float, recipe: Recipe, seed: int) -> Pruned:
        """Prune, score, fine-tune and score."""
        splits, plan = self.task.splits, self.plan(criterion, ratio)
        context = ApplyContext(self.images, self.examples)
        network = copy.deepcopy(self.network)
        network = apply_phase(network, self.blueprint, plan, Phase.PRUNE, context)
        recalibrate_batchnorm(network, self.train, splits.normalisation)
        before = self._score(network)
        train(
            network,
            self.train,
            splits.normalisation,
            splits.augmentation,
            recipe,
            seed,
            teacher=self.network,
        )
        return Pruned(round(before, 2), round(self._score(network), 2))

    def _score(self, network: torch.nn.Module) -> float:
        return score(network, self.test, self.task.splits.normalisation).accuracy


def subset(images: ImageSet, count: int) -> ImageSet:
    """A number of images, spread evenly over the set."""
    step = max(1, len(images) // count)
    return images.subset(torch.arange(0, len(images), step)[:count])


def run(
    bench: Bench, criteria: Sequence[str], ratios: Sequence[float], seeds: Sequence[int]
) -> Results:
    """Criterion -> ratio -> a network per seed; the loop over seeds is outermost."""
    results: Results = {c: {f"{r:g}": [] for r in ratios} for c in criteria}
    for seed, ratio, criterion in product(seeds, ratios, criteria):
        result = bench.pruned(criterion, ratio, RECIPE, seed)
        results[criterion][f"{ratio:g}"].append(result)
        print(
            f"seed {seed}, {ratio:.0%}, {criterion}: {result.before} -> {result.after}", flush=True
        )
    return results


def show(results: Results) -> str:
    """Format medians over seeds after fine-tuning, and in brackets before it."""
    ratios = list(next(iter(results.values())))
    rows = [
        [criterion, *(_cell(by_ratio[ratio]) for ratio in ratios)]
        for criterion, by_ratio in results.items()
    ]
    return table(["criterion", *(f"{float(ratio):.0%} of channels" for ratio in ratios)], rows)


def _cell(results: Sequence[Pruned]) -> str:
    after, before = median(item.after for item in results), median(item.before for item in results)
    return f"{after:.2f} ({before:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare pruning criteria.")
    parser.add_argument("--data", required=True, help="folder with train/ and test/, or a set")
    parser.add_argument("--weights", type=Path, required=True, help="weights of the ResNet-20")
    installed = [c.name for c in CRITERIA if not c.info.extra or not missing_packages(c.info.extra)]
    parser.add_argument("--criteria", nargs="+", default=installed, choices=CRITERIA.names)
    parser.add_argument("--ratios", nargs="+", type=float, default=list(RATIOS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument(
        "--images", type=int, default=IMAGES, help="images to fine-tune on, and to score"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--name", default="criteria", help="name of the file in results/")
    arguments = parser.parse_args()
    begun = time.perf_counter()
    with threads(arguments.threads):
        request = DataRequest(arguments.data)
        task = Task.load("resnet20", request, Recipes(), 0, arguments.weights)
        bench = Bench(task, arguments.images)
        baseline = round(bench.accuracy, 2)
        print(f"baseline {baseline:.2f} % on {len(bench.test):,} test images", flush=True)
        results = run(bench, arguments.criteria, arguments.ratios, arguments.seeds)
        data: dict[str, object] = {
            "model": "resnet20",
            "baseline_accuracy": baseline,
            "train_images": len(bench.train),
            "test_images": len(bench.test),
            "recipe": asdict(RECIPE),
            "seeds": arguments.seeds,
            "removed": {f"{r:g}": asdict(bench.removed(r)) for r in arguments.ratios},
            "surroundings": environment(),
            "minutes": round((time.perf_counter() - begun) / 60, 1),
            "accuracy": {
                criterion: {
                    ratio: [asdict(item) for item in results] for ratio, results in rows.items()
                }
                for criterion, rows in results.items()
            },
        }
        print(show(results))
        print(f"written to results/{write_result(arguments.name, data).name}")


if __name__ == "__main__":
    main()
