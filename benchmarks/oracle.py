"""Estimate how much of what samplers miss on the recorded table is noise.

An oracle that knows the mean and the scatter of every plan's drop in advance has nothing left to
learn: no model of the drop can do better, except by luck. It trains the network with the largest
acquisition (hypervolume improvement times probability of feasibility, summed over budgets) by the
rules of samplers.py and from the same first plans. Means are those of the table's two trainings,
smoothed by ridge regression with an effect for every option and every pair of options; the scatter
is that of the two trainings around each other. New drops are drawn from them.

A second oracle knows each plan's drop in the table's *other* training. Run it as
`python benchmarks/oracle.py`; see README.md beside it.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

import numpy
from numpy.typing import NDArray
from paredown.benchmarks.common import environment, write_result
from paredown.benchmarks.common import table as markdown
from paredown.benchmarks.samplers import BUDGETS, designs, reach
from paredown.benchmarks.trained_plans import SEEDS, Table
from paredown.benchmarks.volumes import relative
from paredown.search.samplers.hypervolume import hypervolume, hypervolume_improvement
from paredown.spaces.plan import Plan
from paredown.spaces.technique import Phase
from scipy.special import ndtr

Array = NDArray[numpy.float64]

AFTER = (10, 25, 50)
TARGET = 0.95
"""Approximately the share that TPE and NSGA-II reach after 200 trainings."""
_UNIT = max(budget.max_drop for budget in BUDGETS)
_RIDGE = 3.0
_EDGES = (-numpy.inf, 1.0, 2.0, 4.0, 8.0, numpy.inf)
"""Bins of the mean drop, with one scatter each."""


@dataclass(frozen=True)
class Known:
    """The table as arrays, a row per plan.

    Attributes:
        costs: (plans, objectives) logarithms of relative costs.
        network: (plans,) index of the network that a plan quantizes.
        drops: (seeds, plans) in percentage points.
        first: indices of the networks that every search begins with, in order.
        mean, scatter: (plans,) mean and standard deviation of the drop.
        shared: correlation of the scatter between plans of one network, 0 to 1.
    """

    costs: Array
    network: NDArray[numpy.int64]
    drops: Array
    first: tuple[int, ...]
    mean: Array
    scatter: Array
    shared: float
    step: float

    @classmethod
    def of(cls, table: Table) -> "Known":
        """Read the arrays from a table."""
        plans, baseline = table.plans, table.cost(Plan())
        names = dict.fromkeys(plan.through(Phase.PRUNE) for plan in plans)
        numbers = {plan: number for number, plan in enumerate(names)}
        network = numpy.array([numbers[plan.through(Phase.PRUNE)] for plan in plans])
        drops = numpy.array([[table.trained(plan, s).drop for plan in plans] for s in SEEDS])
        mean = smoothed(table, drops.mean(axis=0))
        scatter, shared = _scatter(drops, mean, network)
        starts = dict.fromkeys(numbers[plan.through(Phase.PRUNE)] for plan in designs(table))
        return cls(
            numpy.array([relative(table.cost(plan), baseline) for plan in plans]),
            network,
            drops,
            tuple(starts),
            mean,
            scatter,
            shared,
            table.step,
        )

    def draw(self, rng: numpy.random.Generator) -> Array:
        """Draw drops of another training of every plan, in whole images."""
        common = rng.normal(size=self.network.max() + 1)[self.network]
        own = rng.normal(size=len(self.network))
        noise = numpy.sqrt(self.shared) * common + numpy.sqrt(1 - self.shared) * own
        return numpy.asarray(
            numpy.round((self.mean + self.scatter * noise) / self.step) * self.step
        )

    def chances(self) -> Array:
        """The probability that a plan meets a budget: (plans, budgets)."""
        limits = numpy.array([_ends(budget.max_drop, self.step) for budget in BUDGETS])
        room = limits[None, :] - self.mean[:, None]
        return numpy.asarray(ndtr(room / self.scatter[:, None]))


def smoothed(table: Table, drops: Array) -> Array:
    """Smooth drops by ridge regression on options and pairs of options."""
    chosen = [table.space.params(plan) for plan in table.plans]
    ones = [
        numpy.array([params[dimension.name] == option for params in chosen], dtype=numpy.float64)
        for dimension in table.space.dimensions
        for option in dimension.options
    ]
    pairs = [left * right for left, right in combinations(ones, 2)]
    columns = numpy.stack([numpy.ones(len(drops)), *ones, *pairs], axis=1)
    wanted = numpy.arcsinh(drops / _UNIT)
    square = columns.T @ columns + _RIDGE * numpy.eye(columns.shape[1])
    return numpy.asarray(
        _UNIT * numpy.sinh(columns @ numpy.linalg.solve(square, columns.T @ wanted))
    )


def _scatter(drops: Array, mean: Array, network: NDArray[numpy.int64]) -> tuple[Array, float]:
    """Each plan's standard deviation, and its correlation between plans of a network."""
    apart = (drops[0] - drops[1]) / numpy.sqrt(2)
    level = numpy.digitize(mean, _EDGES[1:-1])
    deviations = numpy.array([apart[level == number].std() for number in range(len(_EDGES) - 1)])
    scatter = deviations[level]
    order = numpy.argsort(network, kind="stable")
    rows = (apart / scatter)[order].reshape(network.max() + 1, -1)
    alike = numpy.corrcoef(rows.T)
    return scatter, float(alike[numpy.triu_indices(len(alike), 1)].mean())


def _ends(budget: float, step: float) -> float:
    return float((numpy.floor(budget / step + 1e-6) + 0.5) * step)


def simulate(known: Known, drops: Array, chances: Array, trainings: int) -> list[float]:
    """The share of the best hypervolume after each training of a search by these chances.

    Args:
        known: the table.
        drops: (plans,) results of the trainings.
        chances: (plans, budgets) probabilities of feasibility that the search assumes.
        trainings: number of trainings.
    """
    done, shares = numpy.zeros(len(drops), dtype=bool), list[float]()
    best = _volume(known, drops, ~done)
    queue = list(known.first)
    for _ in range(trainings):
        chosen = queue.pop(0) if queue else _most_promising(known, drops, chances, done)
        done |= known.network == chosen
        shares.append(_volume(known, drops, done) / best)
    return shares


def _most_promising(known: Known, drops: Array, chances: Array, done: NDArray[numpy.bool_]) -> int:
    acquisition = numpy.zeros(len(drops))
    for place, budget in enumerate(BUDGETS):
        front = known.costs[done & (drops <= budget.max_drop + 1e-9)]
        acquisition += hypervolume_improvement(known.costs, front) * chances[:, place]
    acquisition[done] = -1
    return int(known.network[acquisition.argmax()])


def _volume(known: Known, drops: Array, done: NDArray[numpy.bool_]) -> float:
    within = (known.costs[done & (drops <= budget.max_drop + 1e-9)] for budget in BUDGETS)
    return float(numpy.mean([hypervolume(members.reshape(-1, 2)) for members in within]))


def _summary(runs: Sequence[Sequence[float]]) -> dict[str, object]:
    return {
        "runs": len(runs),
        "share_after": {many: median(run[many - 1] for run in runs) for many in AFTER},
        "mean_share_after": {
            many: float(numpy.mean([r[many - 1] for r in runs])) for many in AFTER
        },
        "trainings_to_95": median(reach(run, TARGET) for run in runs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Estimate the noise in searches on the table.")
    parser.add_argument("--draws", type=int, default=100, help="Number of tables to draw.")
    parser.add_argument("--trainings", type=int, default=200)
    parser.add_argument("--name", default="oracle", help="Name of the result file.")
    arguments = parser.parse_args()
    known = Known.of(Table())
    chances = known.chances()

    def certain(drops: Array) -> Array:
        return numpy.stack([drops <= budget.max_drop + 1e-9 for budget in BUDGETS], axis=1).astype(
            float
        )

    rng: Callable[[int], numpy.random.Generator] = numpy.random.default_rng
    data = {
        "knows mean and scatter, drawn tables": _summary(
            [
                simulate(known, known.draw(rng(n)), chances, arguments.trainings)
                for n in range(arguments.draws)
            ]
        ),
        "knows mean and scatter, the table": _summary(
            [simulate(known, drops, chances, arguments.trainings) for drops in known.drops]
        ),
        "knows the other training's drops, the table": _summary(
            [
                simulate(known, known.drops[s], certain(known.drops[1 - s]), arguments.trainings)
                for s in SEEDS
            ]
        ),
    }
    head = ["oracle", "runs", *(f"% after {many}" for many in AFTER), "trainings to 95 %"]
    rows = [
        [
            who,
            str(data["runs"]),
            *(f"{100 * share:.1f}" for share in data["share_after"].values()),  # type: ignore[attr-defined]
            f"{data['trainings_to_95']:g}",
        ]
        for who, data in data.items()
    ]
    print(markdown(head, rows))
    path = write_result(
        arguments.name,
        {
            "surroundings": environment("scipy"),
            "rules": __doc__,
            "seeds": {"draws": [0, arguments.draws - 1], "table": list(SEEDS)},
            "trainings": arguments.trainings,
            "searchers": data,
        },
    )
    print(f"written to results/{path.name}")


if __name__ == "__main__":
    main()
