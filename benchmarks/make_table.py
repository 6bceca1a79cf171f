"""Train every plan of one space with two seeds: the table that samplers are compared on.

Tabular benchmarks of this kind compare searches without training again (NAS-Bench-201, Dong and
Yang 2020, https://arxiv.org/abs/2001.00326; HPOBench, Eggensperger et al. 2021,
https://arxiv.org/abs/2109.06716). Run `python benchmarks/make_table.py --seed 0`, and again with
`--seed 1`, at the same time if there are cores for both; each resumes where it stopped. Then
`python benchmarks/make_table.py --pack` writes `table.npz`; see README.md beside this file.
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

from paredown.benchmarks.common import environment
from paredown.benchmarks.trained_plans import SEEDS, STUDY, TABLE, every_network, pack
from paredown.objectives.accuracy.scoring import score
from paredown.objectives.evaluation.checkpoints import EarlyStopper
from paredown.objectives.evaluation.evaluator import Evaluator
from paredown.objectives.training.cache import Cache
from paredown.objectives.training.device import threads
from paredown.search.runner.run_study import prepare
from paredown.search.study.config import load_config
from paredown.spaces.plan import Plan


class _EveryEpoch(EarlyStopper):
    """Scores a plan after every epoch, and never stops it."""

    def should_check(self, stage: str, epoch: int, epochs: int) -> bool:
        return True


def record(evaluator: Evaluator, plan: Plan) -> dict[str, object]:
    """Train a network; drops and test accuracies at all bit-widths, checkpoints and seconds."""
    rows, checkpoints, seconds = list[list[object]](), list[list[object]](), dict[str, float]()
    splits = evaluator.task.splits
    for entry in [plan, *evaluator.space.at_other_bits(plan)]:
        begun = time.perf_counter()
        outcome = evaluator.evaluate(entry)
        took = time.perf_counter() - begun
        if entry == plan:
            checkpoints = [[r.stage, r.epoch, round(r.drop, 3)] for r in outcome.checkpoints]
            seconds = {name: round(value, 3) for name, value in outcome.seconds.items()}
        tested = score(evaluator.network(entry), splits.test, splits.normalisation).accuracy
        rows.append([entry.to_json(), round(outcome.drop, 3), round(tested, 3), round(took, 3)])
    return {"plan": plan.to_json(), "rows": rows, "rungs": checkpoints, "seconds": seconds}


def measure(evaluator: Evaluator, folder: Path) -> None:
    """Train and record every network that is not recorded yet."""
    noted = folder / f"seed{evaluator.seed}.jsonl"
    lines = noted.read_text().splitlines() if noted.exists() else []
    known = {json.loads(line)["plan"] for line in lines}
    every = every_network(evaluator.space)
    with noted.open("a") as file:
        for number, plan in enumerate(every):
            if plan.to_json() not in known:
                file.write(json.dumps(record(evaluator, plan)) + "\n")
                file.flush()
            if number % 50 == 0:
                print(f"seed {evaluator.seed}: {number} of {len(every)} networks", flush=True)


def about(evaluator: Evaluator) -> dict[str, object]:
    """Describe the environment and the study of the table."""
    splits, recipes = evaluator.task.splits, evaluator.task.recipes
    tested = score(evaluator.baseline, splits.test, splits.normalisation)
    return {
        "surroundings": environment(),
        "seeds": list(SEEDS),
        "recipes": asdict(recipes),
        "space": {
            dimension.name: list(dimension.options) for dimension in evaluator.space.dimensions
        },
        "baseline": evaluator.baseline_score.accuracy,
        "baseline_test": tested.accuracy,
        "baseline_digest": evaluator.baseline_digest,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Train every plan of a small space, twice.")
    parser.add_argument("--seed", type=int, choices=SEEDS, help="training seed")
    parser.add_argument(
        "--folder", type=Path, default=Path("table-parts"), help="folder of the parts"
    )
    parser.add_argument("--pack", action="store_true", help="write the table from the parts")
    arguments = parser.parse_args()
    if not arguments.pack and arguments.seed is None:
        parser.error("say --seed 0 or --seed 1, and --pack when both are done")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    seed = arguments.seed or 0
    with threads(1):
        task, space = prepare(load_config(str(STUDY), {}))
        cache = Cache(arguments.folder / f"cache{seed}")
        evaluator = Evaluator(task, space, cache, early_stopper=_EveryEpoch(), seed=seed)
        (arguments.folder / "about.json").write_text(json.dumps(about(evaluator), indent=1))
        if arguments.pack:
            print(pack(arguments.folder, TABLE, evaluator))
        else:
            measure(evaluator, arguments.folder)


if __name__ == "__main__":
    main()
