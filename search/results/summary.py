"""What a study answers, as plain data: the JSON of the commands, and what their tables show."""

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
    """What a study has found so far.

    Attributes:
        study: its name.
        baseline: the untouched network.
        records: all trials.
        results: what each budget buys, the smallest first.
        test_scores: `test_score_key` -> what the test split said; one entry for each look at it.
        storage: where the study is, if not in the default place.
        seconds: part -> how long it took in the run that asks; empty if none does.
        metric: what accuracies and drops are of.
        images: which images the splits are; None in studies that 0.5 has not run.
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
        """What to type after `paredown best` or `paredown dashboard` to find the study."""
        where = ["--storage", self.storage] if self.storage else []
        return shlex.join([self.study, *where])

    @property
    def misses(self) -> list[BudgetResult]:
        """The budgets that no plan keeps within."""
        return [result for result in self.results if result.winner is None]

    @property
    def baseline_gap(self) -> Gap | None:
        """How much better the baseline is on the search split than on the test split.

        None until a winner was looked for there.
        """
        known = [
            test_score.baseline for test_score in self.test_scores.values() if test_score.baseline
        ]
        return self.images.gap(known[0]) if self.images and known else None

    def count(self, *statuses: TrialStatus) -> int:
        """How many trials ended in one of these ways."""
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
        """The plan that misses a budget by least, and what costs it most."""
        closest, retraining = result.closest, _retraining(result.retraining)
        if closest is None:
            return {"closest": None, "retraining": retraining}
        most = costliest(closest, self.records)
        costs = {"costliest": asdict(most) if most else None}
        return {"closest": self._figures(closest) | costs, "retraining": retraining}

    def winner_test_score(self, result: BudgetResult) -> TestScore | None:
        """What the test split said of a result's winner, if it has one and was asked."""
        winner = result.winner.plan if result.winner else None
        return self.test_scores.get(test_score_key(winner, result.retraining)) if winner else None

    def _test_score(self, result: BudgetResult) -> dict[str, Any]:
        """How sure it is that the winner keeps within its budget."""
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
    """What a study has found for these budgets, or for those it was started with.

    Args:
        study: as `open_study` gives it.
        budgets: to answer.
        storage: its address, if that is not the default one.
        seconds: part -> how long it took, of a run that has just ended.

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
    """How a plan did when it was trained again."""
    if retraining is None:
        return None
    return {"seed": retraining.seed, "accuracy": retraining.accuracy, "drop": retraining.drop}


def _baseline(baseline: Baseline) -> dict[str, Any]:
    return {"accuracy": baseline.accuracy, **baseline.cost.to_dict()}
