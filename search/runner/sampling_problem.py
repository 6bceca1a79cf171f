"""The sampling problem of a search: plans translated to Optuna's parameters."""

from collections.abc import Callable, Sequence

from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial

from ...objectives.accuracy.budget import Budget
from ...objectives.cost.cost import Cost
from ...objectives.training.recipe import Recipes
from ...spaces.plan import Plan
from ...spaces.space import Space
from ...spaces.technique import Phase
from ..samplers import Observation, SamplingProblem
from ..samplers.problem import Params
from ..study import trial_record
from ..study.trial_record import TrialRecord, TrialStatus

_FAILED_BY = 4.0
"""Failed plans are observed as drops censored at this multiple of the largest budget."""

_OVERHEAD = 1.0
"""Approximate cost of building and scoring a plan, in epochs of training."""


class TrainingCost:
    """The cost of evaluating a plan: the epochs of training that are not cached yet.

    Measured in epochs, not seconds, so that the proposals of a seed do not depend on timings.
    """

    def __init__(self, recipes: Recipes) -> None:
        self._recipes = recipes
        self._trained = set[Plan]()

    def learn(self, records: Sequence[TrialRecord]) -> None:
        """Record which phases of which plans have been trained; other plans can reuse them."""
        for record in records:
            if record.status is TrialStatus.EVALUATED and record.plan is not None:
                self._trained |= {record.plan.through(phase) for phase in Phase}

    def __call__(self, plan: Plan) -> float:
        """Epochs that evaluating a plan takes."""
        structure, pruned = plan.through(Phase.STRUCTURE), plan.through(Phase.PRUNE)
        epochs = _OVERHEAD
        if pruned not in self._trained:
            if structure.choices and structure not in self._trained:
                epochs += self._recipes.train.epochs
            if pruned != structure:
                epochs += self._recipes.fine_tune.epochs
        if plan.trains_at_last and plan not in self._trained:
            epochs += self._recipes.quantize.epochs
        return epochs


def sampling_problem(
    space: Space,
    cost: Callable[[Plan], Cost],
    budgets: Sequence[Budget],
    training_cost: TrainingCost,
    step: float = 0.0,
    trials: int = 0,
) -> SamplingProblem:
    """Create the sampling problem of a search.

    Args:
        space: the search space.
        cost: plan -> predicted cost; the empty plan is the baseline.
        budgets: the study's budgets, smallest first.
        training_cost: plan -> cost of its evaluation.
        step: the smallest difference between two drops on the search split, in percentage points.
        trials: number of trials before this run.
    """
    # A failed plan has no drop; a large censored one keeps the sampler away from similar plans.
    failure = Observation(_FAILED_BY * max(budgets[-1].max_drop, 1.0), is_censored=True)

    def observe(trial: FrozenTrial) -> Observation | None:
        return failure if trial_record.is_failed(trial) else trial_record.observe(trial)

    def objectives(params: Params) -> tuple[float, ...]:
        return cost(space.plan(params)).objectives

    return SamplingProblem(
        space={
            dimension.name: CategoricalDistribution(dimension.options)
            for dimension in space.dimensions
        },
        objectives=objectives,
        observe=observe,
        budgets=[budget.max_drop for budget in budgets],
        reference_point=cost(Plan()).objectives,
        identify=space.plan,
        evaluation_cost=lambda params: training_cost(space.plan(params)),
        retry=trial_record.is_retried,
        step=step,
        trials=trials,
    )
