"""Compare samplers in the same time, with real training: ResNet-20 on images of CIFAR-10.

The weights are given, and were not trained on the images: a folder of class folders, of which the
study draws its three splits. All searches run at the same time, each in a separate process with one
thread and its own cache, so that they share the machine evenly; they have the same first plans and
the same results at no cost. Run it as `python benchmarks/live.py --data FOLDER --weights FILE`; see
README.md beside it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import optuna
from paredown.benchmarks.common import environment, table, write_result
from paredown.benchmarks.volumes import volume
from paredown.objectives.accuracy.budget import Budget, parse_budgets
from paredown.objectives.cost.cost import Cost
from paredown.objectives.training.cache import Cache
from paredown.search.results.pareto import budget_results, relative_cost
from paredown.search.runner.callbacks import Callback
from paredown.search.runner.run_study import search
from paredown.search.study.config import StudyConfig, load_config
from paredown.search.study.storage import Baseline, read_baseline
from paredown.search.study.trial_record import TrialRecord, TrialStatus, count_trained, read_records

SAMPLERS = ("budget", "tpe", "nsga2")
STUDY = Path(__file__).parent / "live.toml"


def front_volume(records: Sequence[TrialRecord], baseline: Cost, budget: Budget) -> float:
    """The log-hypervolume of the feasible plans per budget."""
    within = (
        record for record in records if record.drop is not None and budget.allows(record.drop)
    )
    return volume((record.cost for record in within if record.cost is not None), baseline)


class _Timer(Callback):
    """Records when each network was trained, and the front at that time."""

    def __init__(self, config: StudyConfig) -> None:
        self.config, self.began = config, time.perf_counter()
        self.curve = list[dict[str, Any]]()
        self.baseline: Baseline | None = None

    def baseline_ready(self, baseline: Baseline, records: Sequence[TrialRecord]) -> None:
        self.baseline = baseline

    def trial_ended(self, record: TrialRecord, records: Sequence[TrialRecord]) -> None:
        if self.baseline is None:
            return
        if record.status in (
            TrialStatus.EVALUATED,
            TrialStatus.REUSED_WEIGHTS,
            TrialStatus.EARLY_STOPPED,
        ):
            self.curve.append(
                {
                    "seconds": round(time.perf_counter() - self.began, 1),
                    "trainings": count_trained(records),
                    "volumes": [
                        round(front_volume(records, self.baseline.cost, budget), 4)
                        for budget in self.config.max_drop
                    ],
                }
            )


def one_search(config: StudyConfig, folder: Path) -> dict[str, Any]:
    """Search until the time limit."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    timer = _Timer(config)
    cache = Cache(folder / f"cache-{config.name}")
    ended = search(config, f"sqlite:///{folder / config.name}.db", cache, timer)
    records, baseline = read_records(ended.study.trials), read_baseline(ended.study)
    results = budget_results(records, baseline, config.max_drop)
    return {
        "baseline": baseline.accuracy,
        "trainings": count_trained(records),
        "hopeless": sum(record.status is TrialStatus.EARLY_STOPPED for record in records),
        "for_free": sum(record.status is TrialStatus.REUSED_WEIGHTS for record in records),
        "volumes": [front_volume(records, baseline.cost, b) for b in config.max_drop],
        "winners": [
            None
            if result.winner is None or result.winner.cost is None or result.winner.plan is None
            else {
                "times_cheaper": 1 / relative_cost(baseline.cost, result.winner.cost),
                "drop": result.winner.drop,
                "plan": result.winner.plan.describe(),
            }
            for result in results
        ],
        "seconds": dict(ended.seconds),
        "curve": timer.curve,
    }


def _config(sampler: str, arguments: argparse.Namespace) -> StudyConfig:
    data = {
        "name": sampler,
        "sampler": sampler,
        "data": arguments.data,
        "weights": arguments.weights,
        "timeout": arguments.time,
        "seed": arguments.seed,
    }
    return load_config(str(STUDY), data)


def all_at_once(arguments: list[str], folder: Path) -> dict[str, Any]:
    """Run every sampler in a separate process, side by side."""
    running = {
        sampler: subprocess.Popen(
            [sys.executable, __file__, *arguments, "--only", sampler, "--folder", str(folder)]
        )
        for sampler in SAMPLERS
    }
    for sampler, process in running.items():
        if process.wait():
            raise SystemExit(f"the search by {sampler} failed")
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in SAMPLERS}


def figures(results: dict[str, Any], budgets: tuple[Budget, ...]) -> str:
    """Format each sampler's result at the time limit."""
    head = ["sampler", "trained", "stopped early", "reused weights", "log-hypervolume (mean)"]
    head += [f"times cheaper, {budget.text}" for budget in budgets]
    rows = [
        [
            name,
            str(item["trainings"]),
            str(item["hopeless"]),
            str(item["for_free"]),
            f"{numpy.mean(item['volumes']):.3f}",
            *("-" if won is None else f"{won['times_cheaper']:.1f}" for won in item["winners"]),
        ]
        for name, item in results.items()
    ]
    return table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare samplers by the clock.")
    parser.add_argument("--data", type=Path, required=True, help="class folders of images")
    parser.add_argument("--weights", type=Path, required=True, help="weights of the ResNet-20")
    parser.add_argument("--time", default="20m", help="time limit of each search")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=SAMPLERS, help="run this sampler alone (used internally)")
    parser.add_argument("--folder", type=Path, help="folder for the studies of --only")
    arguments = parser.parse_args()
    arguments.data = str(arguments.data.resolve())
    arguments.weights = str(arguments.weights.resolve())
    if arguments.only:
        data = one_search(_config(arguments.only, arguments), arguments.folder)
        (arguments.folder / f"{arguments.only}.json").write_text(json.dumps(data))
        return
    with tempfile.TemporaryDirectory() as folder:
        results = all_at_once(sys.argv[1:], Path(folder))
    config = _config(SAMPLERS[0], arguments)
    print(figures(results, parse_budgets([budget.max_drop for budget in config.max_drop])))
    data = {
        "surroundings": environment("optuna", "scipy"),
        "rules": __doc__,
        "time": arguments.time,
        "seed": arguments.seed,
        "study": STUDY.read_text(),
        "samplers": results,
    }
    print(f"written to results/{write_result('live', data).name}")


if __name__ == "__main__":
    main()
