"""What a search asks its sampler, in the sampler's terms: parameters in place of plans."""

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
"""A plan that failed counts as one that breaks the largest budget so many times over, or more."""

_OVERHEAD = 1.0
"""What building and scoring a plan takes, in epochs of training, as far as it matters."""


class TrainingCost:
    """What evaluating plans takes, in epochs of training that are still to be done.

    Epochs and not seconds: the same seed has to give the same plans on a slow day.
    """

    def __init__(self, recipes: Recipes) -> None:
        self._recipes = recipes
        self._trained = set[Plan]()

    def learn(self, records: Sequence[TrialRecord]) -> None:
        """Note what a study's trials have trained: plans that begin alike share it."""
        for record in records:
            if record.status is TrialStatus.EVALUATED and record.plan is not None:
                self._trained |= {record.plan.through(phase) for phase in Phase}

    def __call__(self, plan: Plan) -> float:
        """What a plan takes."""
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
    """The question of a search that has had so many trials.

    Args:
        space: whose plans are proposed.
        cost: what a plan costs; that of the empty plan is the baseline's.
        budgets: the smallest first.
        training_cost: what plans take to evaluate.
        step: the smallest difference between two drops on the search split, in percentage points.
        trials: how many the study has had.
    """
    # What failed has no drop, but is of no use within any budget; nor is what is much like it.
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
