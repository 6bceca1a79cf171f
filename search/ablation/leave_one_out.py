"""Leave-one-out ablation: the winner without each of its techniques, trained briefly.

The ablation of A. Sobolewski and K. Szyc, "Architecture Optimization Techniques for Convolutional
Neural Networks" (2023, https://doi.org/10.1007/978-3-031-37720-4_25), on the user's own network.
Savings are counted. For accuracy costs, the winner itself is retrained as briefly as its variants,
so that the drops are comparable. All networks are scored on the search split.
"""

from collections.abc import Callable
from dataclasses import replace

import optuna

from ...errors import InputError, NothingFits, PredictionMismatch, TrainingDiverged
from ...objectives.accuracy.budget import Budget
from ...objectives.cost.cost import Cost
from ...objectives.training.cache import Cache
from ...objectives.training.progress import Progress
from ...objectives.training.recipe import Recipes, shortened
from ...spaces.plan import Plan
from ...spaces.technique import Phase
from ...spaces.techniques import TECHNIQUES
from ..isolation.backend import EvaluationFailed, TaskSummary
from ..isolation.starting import opened_backend
from ..results.advice import advice
from ..results.attribution import without
from ..results.summary import summarize
from ..runner.reopen import check_digest
from ..study.saved_config import read_saved_config
from ..study.storage import check_same, with_recipes_of
from .saved_ablation import (
    Ablation,
    AblationRow,
    named,
    read_ablations,
    techniques_of,
    write_ablation,
)

HALF = 0.5
"""The default training length, as a fraction of the study's epochs."""


class AblationCallback(Progress):
    """Base class of callbacks of an ablation. All methods do nothing; override what you need.

    For the whole plan first, and then for each technique: `begins`, `stage` and `epoch` during the
    training, `ended`.
    """

    def begins(self, technique: str | None, number: int, of: int) -> None:
        """Called before the plan without a technique is trained; None is the whole plan."""

    def ended(self, technique: str | None, drop: float | None) -> None:
        """Called after the plan is scored; the drop is None if its training failed."""


def ablate(
    study: optuna.Study,
    url: str,
    budget: Budget,
    cache: Cache,
    watch: AblationCallback,
    epochs: float = HALF,
) -> Ablation:
    """Ablate a budget's winner, and store the result in the study.

    Args:
        study: the study.
        url: URL of its storage, for messages.
        budget: the budget whose winner to ablate.
        cache: cache of trained networks.
        watch: notified of the progress.
        epochs: training length: a float is a fraction of the study's epochs, an int a count.

    Raises:
        NothingFits: the budget has no winner.
        InputError: the epochs are out of range, or data and weights differ from the study's.
        TrainingDiverged, EvaluationFailed: the winner cannot be retrained.
    """
    study_summary = summarize(study, (budget,), url)
    result = study_summary.results[0]
    if result.winner is None or result.winner.plan is None:
        raise NothingFits(advice(study_summary))
    plan, recipes = result.winner.plan, read_saved_config(study).recipes
    share = _share(epochs, _epochs_of(plan, recipes))
    brief = _shortened(recipes, share)
    known = read_ablations(study).get(Budget(float(named(budget))))
    if known and (known.plan, known.epochs) == (plan, _epochs_of(plan, brief)):
        return known
    config = read_saved_config(study)
    spec = replace(config.task_spec, recipes=brief)
    seed = result.retraining.seed if result.retraining else None
    opened = opened_backend(spec, cache, watch, threads=config.threads, stall=config.stall)
    with opened as (backend, summary):
        check_same(study, url, with_recipes_of(study, summary.identity))
        check_digest(study, backend.baseline().digest)

        def measured(candidate: Plan) -> float:
            return backend.evaluate(candidate, seed=seed).drop

        taken = _taken_apart(plan, _epochs_of(plan, brief), summary, measured, watch)
    write_ablation(study, budget, taken)
    return taken


def _taken_apart(
    plan: Plan,
    epochs: int,
    task: TaskSummary,
    measured: Callable[[Plan], float],
    watch: AblationCallback,
) -> Ablation:
    rests = {technique: without(plan, technique) for technique in techniques_of(plan)}
    # Where the search space has no neutral option of a technique, there is no such plan.
    rests = {technique: rest for technique, rest in rests.items() if task.space.holds(rest)}
    watch.begins(None, 1, 1 + len(rests))
    try:
        drop = measured(plan)
    except TrainingDiverged as error:
        raise TrainingDiverged(f"retraining the winner failed: {error}") from None
    except EvaluationFailed as error:
        raise EvaluationFailed(f"retraining the winner failed: {error}", error.details) from None
    watch.ended(None, drop)
    cost, rows = task.predicted_cost(plan), list[AblationRow]()
    for number, (technique, rest) in enumerate(rests.items(), 2):
        watch.begins(technique, number, 1 + len(rests))
        left = _drop(measured, rest)
        watch.ended(technique, left)
        if left is not None:
            rows.append(
                AblationRow(
                    technique,
                    _words(plan, technique),
                    *ratios(task.predicted_cost(rest), cost),
                    drop_without=left,
                    costs_pp=drop - left,
                )
            )
    return Ablation(plan, drop, epochs, tuple(rows))


def _drop(measured: Callable[[Plan], float], plan: Plan) -> float | None:
    """The drop of a plan; None if it could not be trained."""
    try:
        return measured(plan)
    except (TrainingDiverged, PredictionMismatch, EvaluationFailed):
        return None


def ratios(other: Cost, cost: Cost) -> tuple[float, float]:
    """Ratios of effective params and effective FLOPs, `other` to `cost`."""
    return (
        other.params_effective / cost.params_effective,
        other.flops_effective / cost.flops_effective,
    )


def _words(plan: Plan, technique: str) -> str:
    """A plan's choices of a technique, and of the options that modify it, in words."""
    choices = [
        c
        for c in plan.choices
        if c.technique == technique or technique in TECHNIQUES.get(c.technique).modifies
    ]
    manner = Plan(tuple(choice for choice in choices if choice.technique != technique))
    chosen = Plan(tuple(choice for choice in choices if choice.technique == technique))
    parts = [chosen.describe().removeprefix(f"{technique} ")]
    return "; ".join([*parts, manner.describe()] if manner.choices else parts)


def _epochs_of(plan: Plan, recipes: Recipes) -> int:
    """Number of epochs of a plan's training, over all phases."""
    structure, pruned = plan.through(Phase.STRUCTURE), plan.through(Phase.PRUNE)
    epochs = recipes.train.epochs if structure.choices else 0
    epochs += recipes.fine_tune.epochs if pruned != structure else 0
    return epochs + (recipes.quantize.epochs if plan.trains_at_last else 0)


def _share(epochs: float, whole: int) -> float:
    """The training length as a fraction of the study's epochs.

    Raises:
        InputError: the length is out of range.
    """
    if isinstance(epochs, int):
        if whole and not 1 <= epochs <= whole:
            raise InputError(
                f"epochs: expected 1 to {whole} (the study's epochs for this winner), or a "
                f"fraction such as 0.5, got {epochs}"
            )
        return epochs / whole if whole else 1.0
    if not 0 < epochs <= 1:
        raise InputError(f"epochs: expected a fraction above 0 and at most 1.0, got {epochs:g}")
    return epochs


def _shortened(recipes: Recipes, share: float) -> Recipes:
    return replace(
        recipes,
        train=shortened(recipes.train, share),
        fine_tune=shortened(recipes.fine_tune, share),
        quantize=shortened(recipes.quantize, share),
    )
