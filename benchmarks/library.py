"""Measure what the library of fitted parts gains: plans trained from two starts.

Plans are drawn from a study's space, structure only: nothing is pruned or quantized. They are drawn
uniformly, or, with `--changes`, by changing so many decisions of the baseline. Each is trained by
the study's recipe, with the same seed, teacher and order of images, from

- library: as Paredown does it, with changed parts fitted in isolation and assembled;
- noise: new blocks with their random initialisation, everything else from the baseline, cut where
  the plan cuts it;

both for the recipe's epochs, and from the library also for a fifth of them. Each of the three is
trained at several peaks of the learning rate, and uses the one with the best median over plans.
With a folder of images, given weights may have been trained on all but those in test/: then half of
these are scored. The cache is empty at the start.

    python benchmarks/library.py
    python benchmarks/library.py --study cifar10 --data path/to/cifar10 --weights r20.safetensors
"""

import argparse
import copy
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from paredown.benchmarks.common import environment, table, write_result
from paredown.benchmarks.criteria import subset
from paredown.errors import TrainingDiverged
from paredown.objectives.accuracy.scoring import score
from paredown.objectives.data import ImageSet, Splits
from paredown.objectives.evaluation.evaluator import Evaluator
from paredown.objectives.evaluation.task import Task
from paredown.objectives.training.cache import Cache
from paredown.objectives.training.device import best_device, threads
from paredown.objectives.training.recipe import Recipe
from paredown.objectives.training.training_loop import seeded, train
from paredown.search.runner.run_study import prepare
from paredown.search.study.config import load_config
from paredown.spaces.apply import apply_phase
from paredown.spaces.graph.tracing import example_images
from paredown.spaces.plan import Plan
from paredown.spaces.space import Space
from paredown.spaces.technique import ApplyContext, Phase
from scipy.stats import spearmanr
from torch import nn

PLANS = 20
SEED = 0
SHARE = 0.2
"""Share of the recipe's epochs in the short training from the library."""
RATES = (2.5, 1.0, 0.25, 0.1)
"""Peaks of the learning rate, as shares of the recipe's."""
TRAININGS = ("library, a fifth", "library, all", "noise, all")


@dataclass(frozen=True)
class Measurement:
    """One plan's accuracies in percent, and durations.

    Attributes:
        untrained: accuracy when assembled from the library.
        trained: training -> rate -> accuracy.
        seconds: training -> duration at one rate; "assemble" includes fitting the parts that no
            earlier plan had.
    """

    plan: str
    untrained: float
    trained: dict[str, dict[float, float]]
    seconds: dict[str, float]


class Bench:
    """A study's baseline, its training images, and the images that plans are scored on."""

    def __init__(
        self, task: Task, space: Space, folder: Path, rates: Sequence[float] = RATES
    ) -> None:
        self.task, self.space, self.rates = task, space, rates
        self.evaluator = Evaluator(task, space, Cache(folder))
        self.recipe, self.device = task.recipes.train, best_device()

    @property
    def images(self) -> ImageSet:
        """The images that are scored."""
        return self.task.splits.search

    @property
    def short(self) -> Recipe:
        """The recipe with a fifth of its epochs."""
        return replace(self.recipe, epochs=max(1, round(self.recipe.epochs * SHARE)))

    def plans(self, count: int, changes: int) -> list[Plan]:
        """Draw structures; those that leave the network unchanged are drawn again."""
        drawn, rng = list[Plan](), random.Random(SEED)
        while len(drawn) < count:
            mutated = self.space.mutate(Plan(), rng, changes) if changes else None
            plan = (mutated or self.space.sample(rng)).through(Phase.STRUCTURE)
            if plan.choices and plan not in drawn:
                drawn.append(plan)
        return drawn

    def measure(self, plan: Plan) -> Measurement:
        """Train a plan from both starts."""
        begun = time.perf_counter()
        assembled = self.evaluator.assembled(plan)
        seconds = {"assemble": round(time.perf_counter() - begun, 2)}
        noise = self._started(plan, self.evaluator.baseline)
        starts = (assembled, self.short), (assembled, self.recipe), (noise, self.recipe)
        trained = dict[str, dict[float, float]]()
        for name, (network, recipe) in zip(TRAININGS, starts, strict=True):
            begun = time.perf_counter()
            trained[name] = {rate: self._trained(network, recipe, rate) for rate in self.rates}
            seconds[name] = round((time.perf_counter() - begun) / len(self.rates), 2)
        return Measurement(plan.describe(), self.score(assembled), trained, seconds)

    def score(self, network: nn.Module) -> float:
        """The accuracy on the images in percent."""
        return round(score(network, self.images, self.task.splits.normalisation).accuracy, 2)

    def _started(self, plan: Plan, network: nn.Module) -> nn.Module:
        """Apply a plan to a network; new blocks keep their random initialisation."""
        splits = self.task.splits
        context = ApplyContext(example_images(splits.channels, splits.size, self.device))
        changed = copy.deepcopy(network)
        with seeded(self.task.seed):
            changed = apply_phase(changed, self.space.blueprint, plan, Phase.STRUCTURE, context)
            refill(network, changed)
        return changed

    def _trained(self, network: nn.Module, recipe: Recipe, rate: float) -> float:
        """The accuracy of a copy trained with the recipe's peak times a rate; 0 if it diverges."""
        network, recipe = copy.deepcopy(network), replace(recipe, max_lr=rate * recipe.max_lr)
        splits, teacher = self.task.splits, self.evaluator.baseline
        shown = (splits.train, splits.normalisation, splits.augmentation)
        try:
            train(network, *shown, recipe, self.task.seed, teacher)
            return self.score(network)
        except TrainingDiverged:
            return 0.0


def refill(old: nn.Module, new: nn.Module) -> None:
    """Initialise the new modules of a network at random, in place."""
    for name, module in new.named_children():
        was = getattr(old, name, None)
        if type(module) is type(was):
            refill(was, module)
            continue
        for inner in module.modules():
            if callable(reset := getattr(inner, "reset_parameters", None)):
                reset()


def with_images(splits: Splits, count: int | None, has_weights: bool) -> Splits:
    """Use fewer training images, and with given weights score half of the test images."""
    if count is not None and count < len(splits.train):
        splits = replace(splits, train=subset(splits.train, count))
    if has_weights:
        splits = replace(splits, search=subset(splits.test, len(splits.test) // 2))
    return splits


def best_rates(measurements: Sequence[Measurement]) -> dict[str, float]:
    """Training -> the rate with the best median over plans."""

    def middle(name: str, rate: float) -> float:
        return median(item.trained[name][rate] for item in measurements)

    rates = measurements[0].trained[TRAININGS[0]]
    return {name: max(rates, key=lambda rate: middle(name, rate)) for name in TRAININGS}


def columns(measurements: Sequence[Measurement]) -> dict[str, list[float]]:
    """Accuracies of all plans, each training at its best rate, and their difference."""
    rates = best_rates(measurements)
    data = {"library, untrained": [item.untrained for item in measurements]}
    data |= {
        name: [item.trained[name][rate] for item in measurements] for name, rate in rates.items()
    }
    pairs = zip(data[TRAININGS[0]], data[TRAININGS[2]], strict=True)
    return data | {"library at a fifth - noise": [round(a - b, 2) for a, b in pairs]}


def summary(measurements: Sequence[Measurement]) -> dict[str, object]:
    """Medians over plans, wins and losses, and how well untrained accuracies rank plans."""
    data = columns(measurements)
    gains, retraining = data["library at a fifth - noise"], data["library, all"]
    ranks = (
        spearmanr(data["library, untrained"], retraining).statistic
        if len(measurements) > 2
        else None
    )
    return {
        "rates": best_rates(measurements),
        "medians": {name: round(median(values), 2) for name, values in data.items()},
        "wins": sum(gain > 0 for gain in gains),
        "losses": sum(gain < 0 for gain in gains),
        "rank_correlation": None if ranks is None else round(float(ranks), 2),
        "median_seconds": {
            name: round(median(item.seconds[name] for item in measurements), 2)
            for name in measurements[0].seconds
        },
    }


def show(measurements: Sequence[Measurement]) -> str:
    """Format a row per plan, and the medians."""
    data = columns(measurements)
    rows = [
        [item.plan, *(f"{values[number]:.2f}" for values in data.values())]
        for number, item in enumerate(measurements)
    ]
    rows.append(["median", *(f"{median(values):.2f}" for values in data.values())])
    return table(["plan", *data], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what the library of fitted parts gains.")
    parser.add_argument("--study", default="digits", help="a ready study, or a file")
    parser.add_argument("--data", help="folder with train/ and test/, instead of the study's set")
    parser.add_argument(
        "--weights", type=Path, help="weights of the baseline, instead of training it"
    )
    parser.add_argument("--model", help="model, instead of the study's")
    parser.add_argument("--plans", type=int, default=PLANS)
    parser.add_argument(
        "--changes",
        type=int,
        default=0,
        help="decisions of the baseline to change; 0 draws uniformly",
    )
    parser.add_argument("--images", type=int, help="training images, spread evenly over the set")
    parser.add_argument("--epochs", type=int, help="epochs, instead of the study's")
    parser.add_argument("--batch", type=int, help="batch size, instead of the study's")
    parser.add_argument(
        "--rates", type=float, nargs="+", default=RATES, help="shares of the recipe's peak"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--name", help="name of the file in results/")
    arguments = parser.parse_args()
    begun = time.perf_counter()
    provided = {"data": arguments.data, "weights": arguments.weights, "model": arguments.model}
    with threads(arguments.threads), tempfile.TemporaryDirectory() as folder:
        task, space = prepare(load_config(arguments.study, provided))
        recipes = task.recipes
        if arguments.epochs is not None:
            recipes = replace(recipes, train=replace(recipes.train, epochs=arguments.epochs))
        if arguments.batch is not None:
            recipes = replace(recipes, train=replace(recipes.train, batch_size=arguments.batch))
        splits = with_images(task.splits, arguments.images, task.weights is not None)
        bench = Bench(
            replace(task, splits=splits, recipes=recipes), space, Path(folder), arguments.rates
        )
        baseline = bench.score(bench.evaluator.baseline)
        print(f"baseline {baseline:.2f} % on {len(bench.images):,} images", flush=True)
        measurements = list[Measurement]()
        for plan in bench.plans(arguments.plans, arguments.changes):
            measurements.append(bench.measure(plan))
            print(len(measurements), measurements[-1], flush=True)
        reported = summary(measurements)
        data: dict[str, object] = {
            "study": Path(arguments.study).stem,
            "model": task.model,
            "baseline_accuracy": baseline,
            "train_images": len(splits.train),
            "scored_images": len(bench.images),
            "recipe": asdict(bench.recipe),
            "short_recipe": asdict(bench.short),
            "changes": arguments.changes,
            "seeds": {"plans": SEED, "training": task.seed},
            "surroundings": environment("scipy"),
            "minutes": round((time.perf_counter() - begun) / 60, 1),
            **reported,
            "plans": [asdict(item) for item in measurements],
        }
        print(show(measurements), reported, sep="\n\n")
        name = arguments.name or ("library-cifar" if arguments.data else "library")
        print(f"\nwritten to results/{write_result(name, data).name}")


if __name__ == "__main__":
    main()
