"""Compare samplers on the recorded table, where training takes no time.

All searches begin with the same plans. Dominated plans cost nothing, nor do the other bit-widths of
a trained network; networks with the same beginning share its training. Run it as
`python benchmarks/samplers.py`; see README.md beside it.
"""

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy
import optuna
from numpy.typing import NDArray
from paredown.benchmarks.common import environment, write_result
from paredown.benchmarks.common import table as markdown
from paredown.benchmarks.trained_plans import SEEDS, Table
from paredown.benchmarks.volumes import volume
from paredown.objectives.accuracy.budget import Budget
from paredown.objectives.cost.cost import Cost
from paredown.objectives.evaluation.checkpoints import EarlyStopped
from paredown.objectives.evaluation.outcome import Outcome
from paredown.objectives.training.recipe import Recipe, Recipes
from paredown.search.results.pareto import dominated_by, relative_cost
from paredown.search.runner.early_stopping import BudgetEarlyStopper
from paredown.search.runner.initial_plans import first_designs
from paredown.search.runner.sampling_problem import TrainingCost, sampling_problem
from paredown.search.runner.seen_plans import settled_before
from paredown.search.samplers import make_sampler
from paredown.search.study import attributes as keys
from paredown.search.study import tell_trial, trial_record
from paredown.search.study.trial_record import TrialRecord, TrialStatus
from paredown.spaces.plan import Plan
from paredown.spaces.technique import Phase

BUDGETS = tuple(Budget(points) for points in (0.5, 1.0, 2.0))
TRAININGS = 200
SHARES = (0.9, 0.95, 0.99)
SLOW = {"gp": (50, 5)}
"""Slow samplers, with seconds per proposal: sampler -> (trainings, seeds)."""
_MOST_FREE_IN_A_ROW = 200


@dataclass
class Curve:
    """The progress of one search, with one entry per training.

    Attributes:
        volumes: (trainings, budgets) log-hypervolume of the feasible front.
        winners: (trainings, budgets) logarithm of the winner's relative cost; 0 for the baseline.
        seconds: cumulative seconds of training and quantization, by the table.
        sampling: measured seconds of each proposal.
    """

    volumes: list[list[float]] = field(default_factory=list)
    winners: list[list[float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    sampling: list[float] = field(default_factory=list)

    @property
    def volume(self) -> NDArray[numpy.float64]:
        """Log-hypervolume averaged over budgets: (trainings,)."""
        return numpy.asarray(numpy.array(self.volumes).mean(axis=1))


class Simulation:
    """One search on the table, by the rules of `search.runner.run_study`.

    Args:
        table: every plan, trained.
        trained_with: which of the table's two training seeds to read.
        sampler: name of the sampler.
        seed: the sampler's seed.
        stops: whether plans are stopped early.
    """

    def __init__(
        self, table: Table, trained_with: int, sampler: str, seed: int, stops: bool = False
    ) -> None:
        self.table, self.trained_with, self.space = table, trained_with, table.space
        self.recipes = Recipes(
            **{name: Recipe(**data) for name, data in table.about["recipes"].items()}
        )
        self.training_cost = TrainingCost(self.recipes)
        self.early_stopper = BudgetEarlyStopper(BUDGETS, self.recipes) if stops else None
        self.records = list[TrialRecord]()
        self.done = set[tuple[str, Plan]]()
        self.front = Front(table)
        self.problem = sampling_problem(
            self.space, table.cost, BUDGETS, self.training_cost, step=table.step
        )
        self.study = optuna.create_study(
            directions=["minimize", "minimize"], sampler=make_sampler(sampler, seed, self.problem)
        )
        self.study.set_user_attr(keys.BUDGETS, [budget.max_drop for budget in BUDGETS])
        self.reader = trial_record.RecordReader(self.study)
        self.curve, self.spent = Curve(), 0.0

    def run(self, trainings: int) -> Curve:
        """Search until so many networks are trained, or no new plan is proposed."""
        for plan in designs(self.table):
            self.study.enqueue_trial(self.space.params(plan))
        free = 0
        while len(self.curve.seconds) < trainings and free < _MOST_FREE_IN_A_ROW:
            before = len(self.curve.seconds)
            self._one_trial()
            free = 0 if len(self.curve.seconds) > before else free + 1
        return self.curve

    def _one_trial(self) -> None:
        began = time.perf_counter()
        trial = self.study.ask(dict(self.problem.space))
        sampling = time.perf_counter() - began
        plan = self.space.plan(trial.params)
        attributes = self._attributes(plan)
        trial_record.write(
            trial, trial_record.proposed(plan, self.table.cost(plan), None) | attributes
        )
        tell_trial.tell(self.study, trial)
        self._note(plan, attributes)
        if attributes[keys.STATUS] not in (
            TrialStatus.EVALUATED,
            TrialStatus.EARLY_STOPPED,
        ):
            return
        if attributes[keys.STATUS] is TrialStatus.EVALUATED:
            for other in self._others(plan):
                self._free_trial(other)
        self.training_cost.learn(self.records)
        if self.early_stopper:
            self.early_stopper.learn(self.records)
        self.curve.sampling.append(sampling)
        self.curve.seconds.append(self.spent)
        self.curve.volumes.append(self.front.volumes())
        self.curve.winners.append(self.front.winners())

    def _attributes(self, plan: Plan) -> trial_record.Attributes:
        """The attributes of a plan's trial."""
        if earlier := settled_before(self.records, plan):
            return trial_record.repeated(earlier)
        if beater := dominated_by(self.records, self.table.cost(plan), BUDGETS[0]):
            return trial_record.dominated(beater)
        outcome = self._train(plan)
        return outcome if isinstance(outcome, dict) else trial_record.evaluated(outcome)

    def _train(self, plan: Plan) -> Outcome | trial_record.Attributes:
        """Look a plan up, and add the time that its training would take."""
        known = self.table.trained(plan, self.trained_with)
        network, structure = plan.through(Phase.PRUNE), plan.through(Phase.STRUCTURE)
        new = {"assemble": structure, "train": structure, "prune": network, "fine-tune": network}
        new = {stage: part for stage, part in new.items() if (stage, part) not in self.done}
        checkpoints = [checkpoint for checkpoint in known.checkpoints if checkpoint.stage in new]
        for checkpoint in checkpoints if self.early_stopper else ():
            if self._is_stopped_early(plan, checkpoint):
                return self._stopped(plan, checkpoint, new)
        self.spent += sum(known.seconds[stage] for stage in new) + known.rounding
        self.done |= set(new.items())
        cost = self.table.cost(plan)
        return Outcome(plan, cost, 0.0, known.drop, known.seconds, tuple(checkpoints))

    def _is_stopped_early(self, plan: Plan, checkpoint: Any) -> bool:
        early_stopper = self.early_stopper
        return bool(
            early_stopper
            and early_stopper.should_check(checkpoint.stage, checkpoint.epoch, 0)
            and early_stopper.should_stop(plan, checkpoint)
        )

    def _stopped(
        self, plan: Plan, checkpoint: Any, new: dict[str, Plan]
    ) -> trial_record.Attributes:
        known = self.table.trained(plan, self.trained_with)
        whole = {"train": self.recipes.train.epochs, "fine-tune": self.recipes.fine_tune.epochs}
        for stage, part in new.items():
            share = (
                checkpoint.epoch / whole[stage]
                if stage == checkpoint.stage and checkpoint.epoch
                else 1.0
            )
            self.spent += known.seconds[stage] * share
            if share == 1.0:
                self.done.add((stage, part))
            if stage == checkpoint.stage:
                break
        lower_bound = (
            self.early_stopper.drop_lower_bound(plan, checkpoint)
            if self.early_stopper
            else checkpoint.drop
        )
        return trial_record.early_stopped(EarlyStopped(checkpoint), lower_bound)

    def _others(self, plan: Plan) -> list[Plan]:
        others = self.space.at_other_bits(plan)
        return sorted(others, key=lambda other: self.table.cost(other).objectives)

    def _free_trial(self, plan: Plan) -> None:
        """Add a trained network at other bit-widths as a trial, unless it is dominated."""
        known = {record.plan for record in self.records}
        if plan in known or dominated_by(self.records, self.table.cost(plan), BUDGETS[0]):
            return
        cost, trained = self.table.cost(plan), self.table.trained(plan, self.trained_with)
        self.spent += trained.rounding
        attributes = trial_record.evaluated(Outcome(plan, cost, 0.0, trained.drop))
        attributes |= {keys.STATUS: TrialStatus.REUSED_WEIGHTS}
        self.study.add_trial(
            tell_trial.ended_trial(
                trial_record.proposed(plan, cost, None) | attributes,
                self.space.params(plan),
                {dimension.name: dimension.options for dimension in self.space.dimensions},
                max(self.problem.budgets),
            )
        )
        self._note(plan, attributes)

    def _note(self, plan: Plan, attributes: trial_record.Attributes) -> None:
        self.records = self.reader.records()
        if attributes[keys.STATUS] in (TrialStatus.EVALUATED, TrialStatus.REUSED_WEIGHTS):
            self.front.add(plan, attributes[keys.DROP])


class Front:
    """The costs of feasible plans so far, per budget."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.members: list[list[Cost]] = [[] for _ in BUDGETS]

    def add(self, plan: Plan, drop: float) -> None:
        """Add a plan with a known drop."""
        for members, budget in zip(self.members, BUDGETS, strict=True):
            if budget.allows(drop):
                members.append(self.table.cost(plan))

    def volumes(self) -> list[float]:
        """The log-hypervolume per budget."""
        return [volume(members, self._baseline) for members in self.members]

    def winners(self) -> list[float]:
        """The logarithm of the winner's relative cost per budget."""
        return [
            min((math.log(relative_cost(self._baseline, cost)) for cost in members), default=0.0)
            for members in self.members
        ]

    @property
    def _baseline(self) -> Cost:
        return self.table.cost(Plan())


@cache
def designs(table: Table) -> tuple[Plan, ...]:
    """The first plans of every search."""
    return tuple(first_designs(table.space, table.cost, table.fitting_error))


@cache
def best_known(table: Table, trained_with: int) -> Front:
    """The feasible plans of the whole table."""
    front = Front(table)
    for plan in table.plans:
        front.add(plan, table.trained(plan, trained_with).drop)
    return front


def reach(values: Sequence[float], target: float) -> float:
    """The number of trainings after which a curve reaches a value; infinity if it never does."""
    hits = (number for number, value in enumerate(values, 1) if value >= target - 1e-12)
    return next(hits, math.inf)


def compare(
    table: Table, rows: Sequence[tuple[str, str, bool]], seeds: int, trainings: int
) -> dict[str, list[Curve]]:
    """Run every sampler with every seed; the table's two training seeds alternate."""
    curves = dict[str, list[Curve]]()
    for name, sampler, stops in rows:
        most, some = SLOW.get(sampler, (trainings, seeds))
        began = time.perf_counter()
        curves[name] = [
            Simulation(table, SEEDS[seed % 2], sampler, seed, stops).run(min(most, trainings))
            for seed in range(min(some, seeds))
        ]
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
    return curves


def summary(table: Table, curves: dict[str, list[Curve]]) -> dict[str, dict[str, Any]]:
    """Medians over seeds per sampler."""
    whole = [float(numpy.mean(best_known(table, seed).volumes())) for seed in SEEDS]
    cheapest = [best_known(table, seed).winners() for seed in SEEDS]
    data = dict[str, dict[str, Any]]()
    for name, runs in curves.items():
        shares = [[v / whole[i % 2] for v in run.volume] for i, run in enumerate(runs)]
        data[name] = {
            "seeds": len(runs),
            "share_after": {
                n: median(share[min(n, len(share)) - 1] for share in shares)
                for n in (10, 25, 50, 100, 200)
            },
            "trainings_to": {s: median(reach(share, s) for share in shares) for s in SHARES},
            "seconds_to": {
                s: median(
                    _seconds_at(run, reach(share, s))
                    for run, share in zip(runs, shares, strict=True)
                )
                for s in SHARES
            },
            "regret_after_25": {
                budget.text: median(
                    run.winners[min(25, len(run.winners)) - 1][b] - cheapest[i % 2][b]
                    for i, run in enumerate(runs)
                )
                for b, budget in enumerate(BUDGETS)
            },
            "sampling_seconds": median(s for run in runs for s in run.sampling),
        }
    return data


def _seconds_at(run: Curve, training: float) -> float:
    return run.seconds[int(training) - 1] if math.isfinite(training) else math.inf


def catching_up(
    curves: dict[str, list[Curve]], ours: str, rival: str, trainings: int
) -> list[float]:
    """Trainings per seed after which `ours` reaches a rival's result after `trainings`."""
    values = list[float]()
    for mine, theirs in zip(curves[ours], curves[rival], strict=False):
        values.append(reach(list(mine.volume), float(theirs.volume[:trainings][-1])))
    return values


def draw(curves: dict[str, list[Curve]], path: Path) -> None:
    """Draw medians and quartiles of the log-hypervolume, over trainings and over seconds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for name, runs in curves.items():
        many = min(len(run.seconds) for run in runs)
        volumes = numpy.array([run.volume[:many] for run in runs])
        low, middle, high = numpy.quantile(volumes, (0.25, 0.5, 0.75), axis=0)
        trainings = numpy.arange(1, many + 1)
        (line,) = left.plot(trainings, middle, label=name)
        left.fill_between(trainings, low, high, alpha=0.15, color=line.get_color())
        seconds = numpy.median([run.seconds[:many] for run in runs], axis=0)
        right.plot(seconds, middle, color=line.get_color())
    left.set(
        xlabel="networks trained", ylabel="log-hypervolume of the feasible front", xscale="log"
    )
    right.set(xlabel="seconds of training, by the table", xscale="log")
    left.legend(frameon=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.2)
    figure.savefig(path, dpi=130)


ROWS = (
    ("budget", "budget", False),
    ("budget, stopping early", "budget", True),
    ("tpe", "tpe", False),
    ("nsga2", "nsga2", False),
    ("random", "random", False),
    ("gp", "gp", False),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare samplers on the recorded table.")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trainings", type=int, default=TRAININGS)
    parser.add_argument("--rows", nargs="+", default=[name for name, _, _ in ROWS])
    parser.add_argument("--name", default="samplers", help="name of the files in results/")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    recorded = Table()
    rows = [row for row in ROWS if row[0] in arguments.rows]
    begun = time.perf_counter()
    curves = compare(recorded, rows, arguments.seeds, arguments.trainings)
    data = summary(recorded, curves)
    print(figures(data))
    caught = {
        rival: catching_up(curves, "budget", rival, arguments.trainings)
        for rival in ("tpe", "nsga2", "random")
        if rival in curves and "budget" in curves
    }
    for rival, values in caught.items():
        print(
            f"trainings of budget to reach {rival} after {arguments.trainings}: "
            f"median {median(values):g}, from {min(values):g} to {max(values):g}"
        )
    path = write_result(
        arguments.name,
        {
            "surroundings": environment("optuna", "scipy"),
            "table": recorded.about["surroundings"],
            "rules": __doc__,
            "designs": [plan.describe() for plan in designs(recorded)],
            "budgets": [budget.max_drop for budget in BUDGETS],
            "trainings": arguments.trainings,
            "minutes": round((time.perf_counter() - begun) / 60, 1),
            "samplers": data,
            "budget_catches_up_after": caught,
        },
    )
    draw(curves, path.with_suffix(".png"))
    print(f"written to results/{path.name} and {path.stem}.png")


def figures(data: dict[str, dict[str, Any]]) -> str:
    """Format the summary as a table."""
    head = [
        "sampler",
        *(f"% of best after {n}" for n in (10, 25, 50, 100, 200)),
        *(f"trainings to {100 * share:g} %" for share in SHARES),
        *(f"s to {100 * share:g} %" for share in SHARES),
        *(f"regret {budget.text}, 25" for budget in BUDGETS),
        "ms per ask",
    ]
    rows = [
        [
            name,
            *(f"{100 * share:.1f}" for share in data["share_after"].values()),
            *(f"{many:g}" for many in data["trainings_to"].values()),
            *(f"{many:.0f}" for many in data["seconds_to"].values()),
            *(f"{regret:.2f}" for regret in data["regret_after_25"].values()),
            f"{1000 * data['sampling_seconds']:.0f}",
        ]
        for name, data in data.items()
    ]
    return markdown(head, rows)


if __name__ == "__main__":
    main()
