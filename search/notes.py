"""Notes that the dashboard shows beside a study and its trials."""

import warnings

import optuna
import optuna_dashboard

from ..objectives.evaluator import Evaluator
from ..objectives.objective import OBJECTIVES
from ..objectives.removal import Removal
from ..spaces.plan import Plan
from .config import StudyConfig
from .storage import Baseline

_STUDY_NOTE = """\
# How far can {model} be pared down on {data}?

| | |
|---|---|
| Model | {model}, {params:,} params, {macs:,} MACs |
| Data | {data}: {train:,} train, {search:,} search, {test:,} test images, {classes} classes |
| Baseline | {accuracy:.2f} % {metric} on the search split |
| Budgets | {budgets} |
| Space | {size:,} plans |
| Seed | {seed} |

**Objectives** (minimized): {objectives}. Effective: a b-bit parameter counts \
b/32, an operation max(weight bits, activation bits)/32.

**Constraint**: the drop in accuracy beyond the largest budget, in percentage points; above 0 is \
infeasible. A trial's own drop is its attribute `drop_pp`.

The dashboard's "best trials" do not know about the smaller budgets: `paredown best {name}` does.
"""


def describe_study(
    study: optuna.Study, config: StudyConfig, evaluator: Evaluator, baseline: Baseline
) -> None:
    """Name a study's objectives and say what it is about."""
    splits = evaluator.task.splits
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([OBJECTIVES.get(name).title for name in config.objectives])
    optuna_dashboard.save_note(
        study,
        _STUDY_NOTE.format(
            name=config.name,
            model=evaluator.task.made_by.name,
            data=splits.name,
            params=baseline.cost.params,
            macs=baseline.cost.macs,
            train=len(splits.train),
            search=len(splits.search),
            test=len(splits.test),
            classes=evaluator.task.classes,
            accuracy=baseline.accuracy,
            metric=evaluator.task.metric,
            budgets=", ".join(budget.text for budget in config.max_drop),
            size=evaluator.space.size,
            seed=config.seed,
            objectives=" and ".join(OBJECTIVES.get(name).title for name in config.objectives),
        ),
    )


def describe_trial(study: optuna.Study, number: int, plan: Plan, removed: Removal | None) -> None:
    """Say a trial's plan in words."""
    said = [plan.describe(), *([removed.text] if removed else [])]
    optuna_dashboard.save_note(_Noted(study, number), "\n\n".join(said))


class _Noted(optuna.Trial):
    """A trial as the dashboard's notes want it, running or not.

    Optuna's own constructor would have the sampler propose something for it.
    """

    def __init__(self, study: optuna.Study, number: int) -> None:
        self.study, self.storage = study, study._storage
        self._trial_id = self.storage.get_trial_id_from_study_id_trial_number(
            study._study_id, number
        )
