"""Measure the coverage of the intervals of drops, on simulated answers with a known true drop.

For every size of a test split, accuracy of the baseline, share of images on which the plan answers
differently, and true drop: 10,000 draws, and how often the 95 % interval covers the true drop.
Paredown's interval (Tango 1998) is compared with Newcombe's of 1998, Bonett and Price's of 2012 and
Wald's. The target is 93 to 97 % where at least five images are expected to differ: with fewer, the
counts are so small that no interval can come near 95 %; those cells are summarised separately.

    python benchmarks/coverage.py
"""

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy
from paredown.benchmarks.common import environment, table, write_result
from paredown.objectives.accuracy.confidence import PairedDrop
from scipy.stats import norm

SIZES = (100, 360, 1_000, 3_000, 10_000)
ACCURACIES = (0.7, 0.9, 0.98)
DIFFERING = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
DROPS = (0.0, 0.005, 0.01, 0.02, 0.05)
FEWEST = 5
BAR = (0.93, 0.97)
Z = float(norm.ppf(0.975))

Counts = tuple[int, int, int, int]
"""Numbers of images that both, only the baseline, only the plan and neither get right."""


@dataclass(frozen=True)
class Cell:
    """A cell of the grid; all but `images` are shares."""

    images: int
    accuracy: float
    differing: float
    drop: float

    @property
    def shares(self) -> tuple[float, float, float, float]:
        """Probabilities of the four outcomes, in the order of `Counts`."""
        lost, gained = (self.differing + self.drop) / 2, (self.differing - self.drop) / 2
        return self.accuracy - lost, lost, gained, 1 - self.accuracy - gained

    @property
    def is_possible(self) -> bool:
        return min(self.shares) >= 0

    @property
    def has_enough(self) -> bool:
        """Whether the target applies to the cell."""
        return self.images * self.differing >= FEWEST


def tango(counts: Counts) -> tuple[float, float]:
    """Paredown's interval (Tango 1998), as shares."""
    _, lost, gained, _ = counts
    low, high = PairedDrop(sum(counts), lost, gained).interval
    return low / 100, high / 100


def wald(counts: Counts) -> tuple[float, float]:
    """Wald's interval."""
    images, (_, lost, gained, _) = sum(counts), counts
    seen = (lost - gained) / images
    half = Z * math.sqrt((lost + gained) / images - seen**2) / math.sqrt(images)
    return seen - half, seen + half


def bonett_price(counts: Counts) -> tuple[float, float]:
    """Wald's with one more discordant image on either side: https://doi.org/10.3102/1076998611411915."""
    both, lost, gained, neither = counts
    return wald((both, lost + 1, gained + 1, neither))


def newcombe(counts: Counts) -> tuple[float, float]:
    """Newcombe (1998), method 10: Wilson's intervals of both, squared and added."""
    both, lost, gained, neither = counts
    images = sum(counts)
    first, second = (both + lost) / images, (both + gained) / images
    (low1, high1), (low2, high2) = _wilson(first, images), _wilson(second, images)
    sides = (both + lost) * (gained + neither) * (both + gained) * (lost + neither)
    cross = float(both * neither - lost * gained)
    cross = max(cross - images / 2, 0) if cross > 0 else cross
    alike = cross / math.sqrt(sides) if sides else 0.0

    def apart(value: float, other: float) -> float:
        return math.sqrt(max(value**2 - 2 * alike * value * other + other**2, 0.0))

    seen = first - second
    return seen - apart(first - low1, high2 - second), seen + apart(high1 - first, second - low2)


def _wilson(share: float, images: int) -> tuple[float, float]:
    middle = share + Z**2 / (2 * images)
    half = Z * math.sqrt(share * (1 - share) / images + Z**2 / (4 * images**2))
    return (middle - half) / (1 + Z**2 / images), (middle + half) / (1 + Z**2 / images)


METHODS: dict[str, Callable[[Counts], tuple[float, float]]] = {
    "Tango (ours)": tango,
    "Newcombe": newcombe,
    "Bonett-Price": bonett_price,
    "Wald": wald,
}


def grid() -> Iterator[Cell]:
    """All possible cells of the grid."""
    for images in SIZES:
        for accuracy in ACCURACIES:
            for differing in DIFFERING:
                for drop in DROPS:
                    cell = Cell(images, accuracy, differing, drop)
                    if cell.is_possible:
                        yield cell


def coverage(cell: Cell, draws: int, rng: numpy.random.Generator) -> dict[str, float]:
    """Method -> share of draws whose interval covers the true drop."""
    drawn = rng.multinomial(cell.images, cell.shares, size=draws)
    values, times = numpy.unique(drawn, axis=0, return_counts=True)
    covered = dict.fromkeys(METHODS, 0.0)
    for counts, many in zip(values.tolist(), times.tolist(), strict=True):
        for name, interval in METHODS.items():
            low, high = interval(tuple(counts))
            covered[name] += many * (low - 1e-12 <= cell.drop <= high + 1e-12)
    return {name: hits / draws for name, hits in covered.items()}


def summary(results: dict[Cell, dict[str, float]]) -> dict[str, dict[str, object]]:
    """Method -> minimum and maximum coverage, and the number of cells outside the target."""
    data = dict[str, dict[str, object]]()
    for name in METHODS:
        for which, wanted in (("", True), (", fewer differ", False)):
            values = [hit[name] for cell, hit in results.items() if cell.has_enough == wanted]
            data[name + which] = {
                "cells": len(values),
                "least": min(values),
                "greatest": max(values),
                "outside": sum(not BAR[0] <= value <= BAR[1] for value in values),
            }
    return data


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the coverage of the intervals of drops.")
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    begun, rng = time.perf_counter(), numpy.random.default_rng(arguments.seed)
    results = {cell: coverage(cell, arguments.draws, rng) for cell in grid()}
    data = summary(results)
    rows = [[name, *(f"{value:g}" for value in data.values())] for name, data in data.items()]
    print(table(["interval", "cells", "least", "greatest", "outside 93-97 %"], rows))
    path = write_result(
        "coverage",
        {
            "surroundings": environment("scipy"),
            "seed": arguments.seed,
            "draws": arguments.draws,
            "minutes": round((time.perf_counter() - begun) / 60, 1),
            "methods": data,
            "cells": [asdict(cell) | hits for cell, hits in results.items()],
        },
    )
    print(f"written to results/{path.name}")


if __name__ == "__main__":
    main()
