"""What inherited weights are worth: a replaced network trained from four starts.

On the study "digits": the trained baseline's convolutions or residual blocks are replaced wherever
a family fits, and the network is trained by the same recipe, with the same seed, from

- fitted: as Paredown does it, weights inherited and new blocks fitted to a few batches;
- inherited: the same without those batches;
- noise: new blocks as they are initialised, everything else from the baseline;
- scratch: everything as it is initialised.

Run it as `python benchmarks/inheritance.py`; see README.md beside it.
"""

import argparse
import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from statistics import median

import torch
from paredown.benchmarks.common import keep, surroundings, table
from paredown.objectives.cache import Cache
from paredown.objectives.device import threads
from paredown.objectives.evaluator import Evaluator
from paredown.objectives.scoring import score
from paredown.objectives.task import Task
from paredown.objectives.training import (
    Recipe,
    first_batches,
    recalibrate_batchnorm,
    seeded,
    train,
)
from paredown.search.config import load_config
from paredown.search.driver import prepare
from paredown.spaces.apply import apply_phase
from paredown.spaces.blocks.family import find_family
from paredown.spaces.blueprint import Blueprint
from paredown.spaces.kind import Examples, Phase, Surroundings
from paredown.spaces.kinds import KINDS
from paredown.spaces.plan import Plan
from paredown.spaces.sites import Site, find_blocks, find_sites
from paredown.spaces.tracing import example_images
from torch import nn

FAMILIES = (
    "separable",
    "nx1-1xn",
    "ghost",
    "fire",
    "inverted",
    "ghost-bottleneck",
    "shuffle-bottleneck",
)
STARTS = ("fitted", "inherited", "noise", "scratch")
RIVALS = STARTS[1:]
EPOCHS = (0, 3, 10)
SEEDS = tuple(range(5))
_CALIBRATION_BATCHES = 4  # as many as the evaluator gives

Figures = dict[str, list[float]]
"""Start -> accuracy in percent on the search split, one per seed."""


@dataclass(frozen=True)
class Bench:
    """The trained baseline and its images.

    Attributes:
        task: of the study.
        blueprint: of the baseline.
        baseline: trained; it is copied and never changed. It teaches, too.
        accuracy: the baseline's, in percent on the search split.
        recipe: how replaced networks are trained.
    """

    task: Task
    blueprint: Blueprint
    baseline: nn.Module
    accuracy: float
    recipe: Recipe

    @classmethod
    def of_study(cls, name: str, max_lr: float | None = None) -> "Bench":
        """The study's baseline, trained or from the cache, perhaps with another learning rate."""
        config = load_config(name, {})
        task, space = prepare(config)
        evaluator = Evaluator(task, space, Cache())
        accuracy = evaluator.baseline_score.accuracy
        recipe = task.recipes.train
        recipe = replace(recipe, max_lr=max_lr or recipe.max_lr)
        return cls(task, space.blueprint, evaluator.baseline, accuracy, recipe)

    def started(self, family: str, start: str, seed: int) -> nn.Module:
        """The network with every fitting site replaced, before training."""
        examples = self._examples() if start == "fitted" else []
        around = Surroundings(self._example, examples)
        with seeded(seed):
            network = self._untrained(seed) if start == "scratch" else copy.deepcopy(self.baseline)
            plan = everywhere(self.blueprint, family)
            network = apply_phase(network, self.blueprint, plan, Phase.STRUCTURE, around)
        if start in ("noise", "scratch"):
            with seeded(seed):
                refill(network, self.blueprint, family)
        return network

    def trained(self, network: nn.Module, epochs: int, seed: int) -> float:
        """Train a network in place, and score it. Without epochs, batch norm alone is adapted."""
        splits = self.task.splits
        if epochs == 0:
            recalibrate_batchnorm(network, splits.train, splits.normalisation)
        recipe = replace(self.recipe, epochs=epochs)
        train(
            network,
            splits.train,
            splits.normalisation,
            splits.augmentation,
            recipe,
            seed,
            teacher=self.baseline,
        )
        return score(network, splits.search, splits.normalisation).accuracy

    @property
    def _example(self) -> torch.Tensor:
        splits = self.task.splits
        return example_images(splits.channels, splits.size, "cpu")

    def _examples(self) -> Examples:
        splits = self.task.splits
        return first_batches(
            self.baseline, splits.train, splits.normalisation, _CALIBRATION_BATCHES
        )

    def _untrained(self, seed: int) -> nn.Module:
        return replace(self.task, seed=seed).build()


def everywhere(blueprint: Blueprint, family: str) -> Plan:
    """The plan with one family at every site that it fits."""
    return Plan.of({"block": dict.fromkeys(KINDS.get("block").places(blueprint, family), family)})


def refill(network: nn.Module, blueprint: Blueprint, name: str) -> None:
    """Give the replaced blocks of a network the weights that new ones have."""
    family = find_family(name)
    sites: list[Site] = [*find_blocks(blueprint), *find_sites(blueprint)]
    for site in sites:
        spec = site.spec(blueprint.sizes)
        if not family.why_not(spec):
            network.get_submodule(site.name).load_state_dict(family.block(spec).state_dict())


def compare(bench: Bench, family: str, epochs: int, seeds: Sequence[int]) -> Figures:
    """All four starts of one family under one recipe."""
    figures: Figures = {start: [] for start in STARTS}
    for seed, start in product(seeds, STARTS):
        network = bench.started(family, start, seed)
        figures[start].append(round(bench.trained(network, epochs, seed), 2))
    return figures


def differences(figures: Figures, rival: str) -> list[float]:
    """Fitted less its rival, seed by seed, in percentage points."""
    pairs = zip(figures[STARTS[0]], figures[rival], strict=True)
    return [round(ours - theirs, 2) for ours, theirs in pairs]


def tables(results: Mapping[int, Mapping[str, Figures]]) -> str:
    """For each recipe the medians, the paired differences and all single figures."""
    parts = []
    for epochs, by_family in results.items():
        told = f"{epochs} epochs" if epochs else "no training, batch norm adapted"
        parts.append(f"\n### {told}\n")
        head = ["family", *STARTS, *(f"fitted - {rival}" for rival in RIVALS)]
        parts.append(table(head, [_medians(*one) for one in by_family.items()]))
        parts.append("")
        singles = [
            [f"{family}, {start}", *(f"{value:.2f}" for value in figures[start])]
            for family, figures in by_family.items()
            for start in STARTS
        ]
        seeds = range(len(singles[0]) - 1)
        parts.append(table(["family, start", *(f"seed {seed}" for seed in seeds)], singles))
    return "\n".join(parts)


def _medians(family: str, figures: Figures) -> list[str]:
    row = [family, *(f"{median(figures[start]):.2f}" for start in STARTS)]
    for rival in RIVALS:
        pairs = differences(figures, rival)
        wins = sum(pair > 0 for pair in pairs)
        losses = sum(pair < 0 for pair in pairs)
        row.append(f"{median(pairs):+.2f} ({wins}:{losses})")
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description="What inherited weights are worth.")
    parser.add_argument("--families", nargs="+", default=list(FAMILIES))
    parser.add_argument("--epochs", nargs="+", type=int, default=list(EPOCHS))
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    parser.add_argument("--max-lr", type=float, help="instead of the study's")
    parser.add_argument("--name", default="inheritance", help="of the file in results/")
    asked = parser.parse_args()
    with threads(1):
        begun = time.perf_counter()
        bench = Bench.of_study("digits", asked.max_lr)
        results = dict[int, dict[str, Figures]]()
        for epochs, family in product(asked.epochs, asked.families):
            found = compare(bench, family, epochs, range(asked.seeds))
            results.setdefault(epochs, {})[family] = found
            print(epochs, "epochs:", " ".join(_medians(family, found)), flush=True)
        said: dict[str, object] = {
            "study": "digits",
            "baseline_accuracy": round(bench.accuracy, 2),
            "recipe": {k: v for k, v in asdict(bench.recipe).items() if k != "epochs"},
            "seeds": list(range(asked.seeds)),
            "surroundings": surroundings(),
            "minutes": round((time.perf_counter() - begun) / 60, 1),
            "accuracy": results,
        }
        print(tables(results))
        print(f"\nbaseline {bench.accuracy:.2f} %; kept in results/{keep(asked.name, said).name}")


if __name__ == "__main__":
    main()
