"""Time proposals of BudgetSampler, where costing a plan takes milliseconds.

The full space of ResNet-101 at 32 pixels: trials with synthetic drops are added to a study in
memory, and plans are asked for at the end. Run it as `python benchmarks/sampling.py`; see README.md
beside it.
"""

import argparse
import math
import random
import time
from statistics import median

import optuna
import torch
from paredown.benchmarks.common import environment, write_result
from paredown.benchmarks.costing import CLASSES, full_options
from paredown.objectives.accuracy.budget import Budget
from paredown.objectives.cost.cost import count
from paredown.objectives.training.device import threads
from paredown.objectives.training.recipe import Recipes
from paredown.search.runner.sampling_problem import TrainingCost, sampling_problem
from paredown.search.samplers import BudgetSampler, SamplingProblem
from paredown.search.study.attributes import DROP
from paredown.spaces.apply import predict_graph
from paredown.spaces.graph.tracing import example_images
from paredown.spaces.models import build_model
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.space import Space

BUDGETS = tuple(Budget(points) for points in (0.5, 1.0, 2.0))


def asked_of(space: Space) -> SamplingProblem:
    """The sampling problem of that space."""
    training_cost = TrainingCost(Recipes())
    return sampling_problem(
        space, lambda plan: count(predict_graph(space.blueprint, plan)), BUDGETS, training_cost
    )


def seeded_study(
    space: Space, problem: SamplingProblem, sampler: BudgetSampler, trials: int
) -> optuna.Study:
    """A study with trials: plans that differ from the baseline in more and more places."""
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    rng = random.Random(0)
    for number in range(trials):
        plan = space.mutate(Plan(), rng, changes=1 + number % len(space.dimensions))
        params = space.params(plan)
        smaller = math.log(problem.reference_point[0] / problem.objectives(params)[0])
        drop = 0.4 * smaller**1.5 + rng.gauss(0, 0.3)
        study.add_trial(
            optuna.trial.create_trial(
                params=params,
                distributions=dict(problem.space),
                values=list(problem.objectives(params)),
                user_attrs={DROP: drop},
            )
        )
    return study


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the proposals of BudgetSampler.")
    parser.add_argument("--model", default="resnet101")
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--asks", type=int, default=20)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with threads(1):
        with torch.device("meta"):
            network = build_model(arguments.model, CLASSES, 3)
        blueprint = trace_with_groups(network, example_images(3, 32, "meta"))
        space = Space.of(blueprint, full_options()).look_ahead()
        problem = asked_of(space)
        study = seeded_study(space, problem, BudgetSampler(problem, 0), arguments.trials)
        took = list[float]()
        for _ in range(arguments.asks + 1):
            began = time.perf_counter()
            trial = study.ask(dict(problem.space))
            took.append(time.perf_counter() - began)
            trial.set_user_attr(DROP, 1.0)
            study.tell(trial, problem.objectives(trial.params))
        data = {
            "surroundings": environment("optuna", "scipy"),
            "model": arguments.model,
            "space": f"full: {len(space.dimensions)} decisions, {space.size:.1e} plans",
            "trials": arguments.trials,
            "seconds": {
                "first, which costs all trials once": round(took[0], 3),
                "median": round(median(took[1:]), 3),
                "longest": round(max(took[1:]), 3),
                "each": [round(value, 3) for value in took],
            },
        }
        print(data["space"], data["seconds"])
        print(f"written to results/{write_result('sampling', data).name}")


if __name__ == "__main__":
    main()
