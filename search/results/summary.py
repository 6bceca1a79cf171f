"""Summary of a study's results: the JSON of the commands, and the data of their tables."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

import optuna

from ...objectives.accuracy.budget import Budget
from ...objectives.accuracy.scoring import Metric
from ..study.attributes import BUDGETS
from ..study.retrainings import Retraining, read_max_failures, read_retrainings
from ..study.splits_record import DataSplits, Gap, read_data_splits
from ..study.storage import Baseline, metric_of, read_baseline
from ..study.trial_record import TrialRecord, TrialStatus, read_records
from .attribution import costliest
from .finalists import confirmed_result
from .pareto import BudgetResult, compression
from .test_scores import TestScore, read_test_scores, test_score_key


@dataclass(frozen=True)
class StudySummary:
    """A study's results so far.

    Attributes:
        study: name of the study.
        baseline: the uncompressed network.
        records: all trials.
        results: the result of each budget, smallest budget first.
        test_scores: `test_score_key` -> score on the test split; one entry per evaluation there.
        storage: URL of the storage; None for the default storage.
        seconds: part -> seconds spent in the current run; empty outside of a run.
        metric: the metric of accuracies and drops.
        images: the images of the splits; None in studies that 0.5 has not run.
    """

    study: str
    baseline: Baseline
    records: Sequence[TrialRecord]
    results: Sequence[BudgetResult]
    test_scores: Mapping[str, TestScore]
    storage: str | None = None
    seconds: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    metric: Metric = Metric.PLAIN
    images: DataSplits | None = None

    @property
    def address(self) -> str:
        """The arguments that name the study on the command line."""
        where = ["--storage", self.storage] if self.storage else []
        return shlex.join([self.study, *where])

    @property
    def misses(self) -> list[BudgetResult]:
        """The budgets without a winner."""
        return [result for result in self.results if result.winner is None]

    @property
    def baseline_gap(self) -> Gap | None:
        """The baseline's accuracy on the search split minus that on the test split.

        None until a winner has been scored on the test split.
        """
        known = [
            test_score.baseline for test_score in self.test_scores.values() if test_score.baseline
        ]
        return self.images.gap(known[0]) if self.images and known else None

    def count(self, *statuses: TrialStatus) -> int:
        """Number of trials with one of these statuses."""
        return sum(record.status in statuses for record in self.records)

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `paredown best` and `paredown search`."""
        data = {
            "study": self.study,
            "metric": self.metric,
            "images": self.images.counts() if self.images else None,
            "baseline": _baseline(self.baseline),
            "trials": {
                str(status): self.count(status) for status in TrialStatus if self.count(status)
            },
            "budgets": [self._result(result) for result in self.results],
            "test_looks": len(self.test_scores),
            "baseline_gap": self.baseline_gap.to_dict() if self.baseline_gap else None,
        }
        rounded = {part: round(took, 3) for part, took in self.seconds.items()}
        seconds = {part: took for part, took in rounded.items() if took}
        return data | ({"seconds": seconds} if seconds else {})

    def _result(self, result: BudgetResult) -> dict[str, Any]:
        data: dict[str, Any] = {
            "max_drop": result.budget.max_drop,
            "feasible": result.winner is not None,
            "baseline_accuracy": self.baseline.accuracy,
        }
        empty = dict.fromkeys(_FIGURES)
        if result.winner is None:
            return data | empty | self._miss(result)
        return data | empty | self._figures(result.winner) | self._test_score(result)

    def _miss(self, result: BudgetResult) -> dict[str, Any]:
        """The closest miss of a budget, and its costliest technique."""
        closest, retraining = result.closest, _retraining(result.retraining)
        if closest is None:
            return {"closest": None, "retraining": retraining}
        most = costliest(closest, self.records)
        costs = {"costliest": asdict(most) if most else None}
        return {"closest": self._figures(closest) | costs, "retraining": retraining}

    def winner_test_score(self, result: BudgetResult) -> TestScore | None:
        """The test score of a result's winner; None without a winner or a score."""
        winner = result.winner.plan if result.winner else None
        return self.test_scores.get(test_score_key(winner, result.retraining)) if winner else None

    def _test_score(self, result: BudgetResult) -> dict[str, Any]:
        """The winner's test score, and how certain it is that the budget is met."""
        test_score = self.winner_test_score(result)
        retraining = {"retraining": _retraining(result.retraining)}
        if test_score is None:
            return retraining
        return retraining | {
            "test_accuracy": test_score.accuracy,
            "test_drop": test_score.drop,
            "test": test_score.to_dict(),
            "certainty": test_score.certainty(result.budget),
            "test_images_needed": test_score.images_needed(result.budget),
        }

    def _figures(self, record: TrialRecord) -> dict[str, Any]:
        if record.plan is None or record.cost is None:
            raise ValueError(f"trial {record.number} has no plan")
        return {
            "trial": record.number,
            "plan": record.plan.to_dict(),
            "pruned_share": asdict(record.pruned_share) if record.pruned_share else None,
            **record.cost.to_dict(),
            "accuracy": record.accuracy,
            "drop": record.drop,
            "compression": compression(self.baseline.cost, record.cost),
        }


_FIGURES = (
    "trial",
    "plan",
    "pruned_share",
    "params",
    "params_effective",
    "macs",
    "flops",
    "flops_effective",
    "bops",
    "bytes",
    "accuracy",
    "drop",
    "compression",
    "retraining",
    "test_accuracy",
    "test_drop",
    "test",
    "certainty",
    "test_images_needed",
)


def summarize(
    study: optuna.Study,
    budgets: Sequence[Budget] = (),
    storage: str | None = None,
    seconds: Mapping[str, float] = MappingProxyType({}),
) -> StudySummary:
    """Summarize a study's results.

    Args:
        study: a study from `open_study`.
        budgets: budgets to report; by default the study's own.
        storage: URL of the storage; None for the default storage.
        seconds: part -> seconds spent in the run that just ended.

    Raises:
        StorageError: the study has no baseline yet.
    """
    baseline = read_baseline(study)
    records = read_records(study.get_trials(deepcopy=False))
    retrainings, most = read_retrainings(study), read_max_failures(study)
    requested = budgets or [Budget(float(value)) for value in study.user_attrs[BUDGETS]]
    return StudySummary(
        study=study.study_name,
        baseline=baseline,
        records=records,
        results=[
            confirmed_result(records, retrainings, baseline, budget, most) for budget in requested
        ],
        test_scores=read_test_scores(study),
        storage=storage,
        seconds=seconds,
        metric=metric_of(study),
        images=read_data_splits(study),
    )


def _retraining(retraining: Retraining | None) -> dict[str, Any] | None:
    """The JSON of a retraining."""
    if retraining is None:
        return None
    return {"seed": retraining.seed, "accuracy": retraining.accuracy, "drop": retraining.drop}


def _baseline(baseline: Baseline) -> dict[str, Any]:
    return {"accuracy": baseline.accuracy, **baseline.cost.to_dict()}
