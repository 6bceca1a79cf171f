"""The same minutes for every sampler, training for real: ResNet-20 on images of CIFAR-10.

The weights are given, and the images are some that they have not seen: a folder of class folders,
of which the study takes its three splits. All searches run at the same time, each in a process of
its own with one thread and a cache of its own, so that they share the machine evenly; they begin
with the same plans and are told the same figures for free. Run it as `python benchmarks/live.py
--data FOLDER --weights FILE`; see README.md beside it.
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
from paredown.benchmarks.common import keep, surroundings, table
from paredown.benchmarks.volumes import volume
from paredown.objectives.accuracy.budget import Budget, parse_budgets
from paredown.objectives.cost.cost import Cost
from paredown.objectives.training.cache import Cache
from paredown.search.results.pareto import relative_cost, verdicts
from paredown.search.runner.callbacks import Watcher
from paredown.search.runner.run_study import search
from paredown.search.study.config import StudyConfig, load_config
from paredown.search.study.storage import Baseline, read_baseline
from paredown.search.study.trial_record import How, Record, count_trained, read_records

SAMPLERS = ("budget", "tpe", "nsga2")
STUDY = Path(__file__).parent / "live.toml"


def front_volume(records: Sequence[Record], baseline: Cost, budget: Budget) -> float:
    """Log-hypervolume of the feasible front."""
    within = (one for one in records if one.drop is not None and budget.allows(one.drop))
    return volume((one.cost for one in within if one.cost is not None), baseline)


class _Timer(Watcher):
    """Notes when each network had been trained, and what the front was by then."""

    def __init__(self, config: StudyConfig) -> None:
        self.config, self.began = config, time.perf_counter()
        self.curve = list[dict[str, Any]]()
        self.baseline: Baseline | None = None

    def baseline_ready(self, baseline: Baseline, records: Sequence[Record]) -> None:
        self.baseline = baseline

    def trial_ended(self, record: Record, records: Sequence[Record]) -> None:
        if self.baseline is None:
            return
        if record.how in (How.EVALUATED, How.SHARED, How.HOPELESS):
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
    """Search until the time is over."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    timer = _Timer(config)
    cache = Cache(folder / f"cache-{config.name}")
    ended = search(config, f"sqlite:///{folder / config.name}.db", cache, timer)
    records, baseline = read_records(ended.study.trials), read_baseline(ended.study)
    found = verdicts(records, baseline, config.max_drop)
    return {
        "baseline": baseline.accuracy,
        "trainings": count_trained(records),
        "hopeless": sum(one.how is How.HOPELESS for one in records),
        "for_free": sum(one.how is How.SHARED for one in records),
        "volumes": [front_volume(records, baseline.cost, b) for b in config.max_drop],
        "winners": [
            None
            if one.winner is None or one.winner.cost is None or one.winner.plan is None
            else {
                "times_cheaper": 1 / relative_cost(baseline.cost, one.winner.cost),
                "drop": one.winner.drop,
                "plan": one.winner.plan.describe(),
            }
            for one in found
        ],
        "seconds": dict(ended.seconds),
        "curve": timer.curve,
    }


def _config(sampler: str, asked: argparse.Namespace) -> StudyConfig:
    said = {
        "name": sampler,
        "sampler": sampler,
        "data": asked.data,
        "weights": asked.weights,
        "timeout": asked.time,
        "seed": asked.seed,
    }
    return load_config(str(STUDY), said)


def all_at_once(arguments: list[str], folder: Path) -> dict[str, Any]:
    """Every sampler in a process of its own, side by side."""
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


def figures(found: dict[str, Any], budgets: tuple[Budget, ...]) -> str:
    """What each sampler had when the time was over."""
    head = ["sampler", "trained", "stopped early", "for free", "log-hypervolume (mean)"]
    head += [f"times cheaper, {budget.text}" for budget in budgets]
    rows = [
        [
            name,
            str(one["trainings"]),
            str(one["hopeless"]),
            str(one["for_free"]),
            f"{numpy.mean(one['volumes']):.3f}",
            *("-" if won is None else f"{won['times_cheaper']:.1f}" for won in one["winners"]),
        ]
        for name, one in found.items()
    ]
    return table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare samplers by the clock.")
    parser.add_argument("--data", type=Path, required=True, help="class folders of images")
    parser.add_argument("--weights", type=Path, required=True, help="of the ResNet-20")
    parser.add_argument("--time", default="20m", help="for each search")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=SAMPLERS, help="run one search, for the others' sake")
    parser.add_argument("--folder", type=Path, help="for the studies of --only")
    asked = parser.parse_args()
    asked.data, asked.weights = str(asked.data.resolve()), str(asked.weights.resolve())
    if asked.only:
        said = one_search(_config(asked.only, asked), asked.folder)
        (asked.folder / f"{asked.only}.json").write_text(json.dumps(said))
        return
    with tempfile.TemporaryDirectory() as folder:
        found = all_at_once(sys.argv[1:], Path(folder))
    config = _config(SAMPLERS[0], asked)
    print(figures(found, parse_budgets([budget.max_drop for budget in config.max_drop])))
    said = {
        "surroundings": surroundings("optuna", "scipy"),
        "rules": __doc__,
        "time": asked.time,
        "seed": asked.seed,
        "study": STUDY.read_text(),
        "samplers": found,
    }
    print(f"kept in results/{keep('live', said).name}")


if __name__ == "__main__":
    main()
