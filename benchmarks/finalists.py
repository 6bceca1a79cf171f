"""Measure the selection bias of winners, with finalists and without, on the recorded table.

Each search is one of `samplers.py` by the default sampler, and reads one of the table's two
trainings. Without finalists, a budget's winner is the search's own. With them, finalists are
retrained, which is the table's other training, and the winner is the cheapest plan that still meets
the budget. The winner's network is scored on the test split. The gap is the drop on the test split
minus the drop on the search split that selected the winner. The baseline's own difference between
the two splits is reported too.

    python benchmarks/finalists.py
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import mean, median

import optuna
from paredown.benchmarks.common import environment, table, write_result
from paredown.benchmarks.samplers import BUDGETS, Simulation
from paredown.benchmarks.trained_plans import SEEDS, Table
from paredown.objectives.accuracy.budget import Budget
from paredown.search.results.finalists import confirmed_result, next_finalist
from paredown.search.results.pareto import budget_result, relative_cost
from paredown.search.study.retrainings import Retraining
from paredown.search.study.storage import Baseline
from paredown.search.study.trial_record import TrialRecord
from paredown.spaces.plan import Plan

TRAININGS = 32
MOST = 4


@dataclass(frozen=True)
class Chosen:
    """A budget's winner.

    Attributes:
        budget: in percentage points, like all drops.
        chosen_by: the drop on the search split that selected it.
        tested: its network's drop on the test split.
        times_cheaper: the baseline's cost divided by its cost, by `relative_cost`.
        finalists: number of plans retrained for this budget.
    """

    budget: float
    chosen_by: float
    tested: float
    times_cheaper: float
    finalists: int = 0


class Study:
    """One search on the table, and its winners.

    Args:
        recorded: the recorded table.
        seed: the sampler's seed, which also decides which training the search reads.
        trainings: number of trainings of the search.
    """

    def __init__(self, recorded: Table, seed: int, trainings: int) -> None:
        self.table = recorded
        self.searched, self.again = SEEDS[seed % 2], SEEDS[1 - seed % 2]
        self.baseline = Baseline(
            float(recorded.about["baseline"]), recorded.cost(Plan()), "of the table"
        )
        search = Simulation(recorded, self.searched, "budget", seed)
        search.run(trainings)
        self.records: Sequence[TrialRecord] = search.records

    def without(self) -> list[Chosen]:
        """The search's own winners."""
        winners = [budget_result(self.records, self.baseline, budget).winner for budget in BUDGETS]
        return [
            self._chosen(budget, won, won.drop, self.searched)
            for budget, won in zip(BUDGETS, winners, strict=True)
            if won is not None and won.drop is not None
        ]

    def with_finalists(self, most: int) -> list[Chosen]:
        """Winners that meet their budget after retraining."""
        retrainings, trained, winners = list[Retraining](), list[int](), list[Chosen]()
        for budget in BUDGETS:
            before, cost = len(retrainings), self.baseline.cost
            while record := next_finalist(self.records, retrainings, cost, budget, most):
                retrainings.append(self._final(record))
            trained.append(len(retrainings) - before)
        for budget, many in zip(BUDGETS, trained, strict=True):
            settled = confirmed_result(self.records, retrainings, self.baseline, budget, most)
            if settled.winner and settled.retraining and settled.retraining.drop is not None:
                drop = settled.retraining.drop
                winners.append(self._chosen(budget, settled.winner, drop, self.again, many))
        return winners

    def _final(self, record: TrialRecord) -> Retraining:
        if record.plan is None or record.drop is None:
            raise ValueError(f"trial {record.number} was not scored")
        drop = self.table.trained(record.plan, self.again).drop
        accuracy = self.baseline.accuracy - drop
        return Retraining(record.plan, self.again, accuracy, drop, record.drop)

    def _chosen(
        self, budget: Budget, record: TrialRecord, drop: float, seed: int, finalists: int = 0
    ) -> Chosen:
        if record.plan is None or record.cost is None:
            raise ValueError(f"trial {record.number} was not scored")
        tested = float(self.table.about["baseline_test"])
        tested -= self.table.trained(record.plan, seed).tested
        cheaper = 1 / relative_cost(self.baseline.cost, record.cost)
        return Chosen(budget.max_drop, drop, tested, cheaper, finalists)


def summary(chosen: Sequence[Chosen], searches: int) -> dict[str, float]:
    """Means and medians over the winners of one budget."""
    return {
        "winners": len(chosen) / searches,
        "search split": round(mean(chosen.chosen_by for chosen in chosen), 2),
        "test split": round(mean(chosen.tested for chosen in chosen), 2),
        "gap": round(mean(chosen.tested - chosen.chosen_by for chosen in chosen), 2),
        "times cheaper": round(median(chosen.times_cheaper for chosen in chosen), 1),
        "retrained": round(mean(chosen.finalists for chosen in chosen), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the selection bias of winners.")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trainings", type=int, default=TRAININGS)
    parser.add_argument("--most", type=int, default=MOST, help="finalists that may fail per budget")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    begun, recorded = time.perf_counter(), Table()
    studies = [Study(recorded, seed, arguments.trainings) for seed in range(arguments.seeds)]
    kinds = {
        "without": [study.without() for study in studies],
        "with finalists": [study.with_finalists(arguments.most) for study in studies],
    }
    data = {
        f"{budget.text}, {kind}": summary(
            [entry for chosen in all_found for entry in chosen if entry.budget == budget.max_drop],
            arguments.seeds,
        )
        for budget in BUDGETS
        for kind, all_found in kinds.items()
    }
    luck = float(recorded.about["baseline_test"]) - float(recorded.about["baseline"])
    rows = [[name, *(f"{value:g}" for value in data.values())] for name, data in data.items()]
    print(table(["budget", *next(iter(data.values()))], rows))
    print(f"the baseline's own difference between the splits is {luck:.2f}")
    path = write_result(
        "finalists",
        {
            "surroundings": environment("optuna", "scipy"),
            "table": recorded.about["surroundings"],
            "searches": arguments.seeds,
            "trainings": arguments.trainings,
            "most": arguments.most,
            "baseline_luck": luck,
            "minutes": round((time.perf_counter() - begun) / 60, 1),
            "summary": data,
            "winners": {
                kind: [[asdict(chosen) for chosen in chosen] for chosen in all_found]
                for kind, all_found in kinds.items()
            },
        },
    )
    print(f"written to results/{path.name}")


if __name__ == "__main__":
    main()
