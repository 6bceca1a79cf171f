"""What a study answers, as plain data: the JSON of the commands, and what their tables show."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

import optuna

from ...objectives.accuracy.budget import Budget
from ...objectives.accuracy.scoring import Metric
from ..study.retrainings import Final, read_finals, read_most
from ..study.splits_record import DataSplits, Gap, read_data_splits
from ..study.storage import Baseline, metric_of, read_baseline
from ..study.trial_record import BUDGETS, How, Record, read_records
from .attribution import costliest
from .finalists import proven_verdict
from .pareto import Verdict, times_smaller
from .test_scores import Tested, read_tested, tested_key


@dataclass(frozen=True)
class Answer:
    """What a study has found so far.

    Attributes:
        study: its name.
        baseline: the untouched network.
        records: all trials.
        verdicts: what each budget buys, the smallest first.
        tested: `tested_key` -> what the test split said; one entry for each look at it.
        storage: where the study is, if not in the default place.
        seconds: part -> how long it took in the run that asks; empty if none does.
        metric: what accuracies and drops are of.
        images: which images the splits are; None in studies that 0.5 has not run.
    """

    study: str
    baseline: Baseline
    records: Sequence[Record]
    verdicts: Sequence[Verdict]
    tested: Mapping[str, Tested]
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
    def misses(self) -> list[Verdict]:
        """The budgets that no plan keeps within."""
        return [verdict for verdict in self.verdicts if verdict.winner is None]

    @property
    def baseline_gap(self) -> Gap | None:
        """How much better the baseline is on the search split than on the test split.

        None until a winner was looked for there.
        """
        known = [one.baseline for one in self.tested.values() if one.baseline]
        return self.images.gap(known[0]) if self.images and known else None

    def count(self, *how: How) -> int:
        """How many trials ended in one of these ways."""
        return sum(record.how in how for record in self.records)

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `paredown best` and `paredown search`."""
        said = {
            "study": self.study,
            "metric": self.metric,
            "images": self.images.counts() if self.images else None,
            "baseline": _baseline(self.baseline),
            "trials": {str(how): self.count(how) for how in How if self.count(how)},
            "budgets": [self._verdict(verdict) for verdict in self.verdicts],
            "test_looks": len(self.tested),
            "baseline_gap": self.baseline_gap.to_dict() if self.baseline_gap else None,
        }
        rounded = {part: round(took, 3) for part, took in self.seconds.items()}
        seconds = {part: took for part, took in rounded.items() if took}
        return said | ({"seconds": seconds} if seconds else {})

    def _verdict(self, verdict: Verdict) -> dict[str, Any]:
        said: dict[str, Any] = {
            "max_drop": verdict.budget.max_drop,
            "feasible": verdict.winner is not None,
            "baseline_accuracy": self.baseline.accuracy,
        }
        empty = dict.fromkeys(_FIGURES)
        if verdict.winner is None:
            return said | empty | self._miss(verdict)
        return said | empty | self._figures(verdict.winner) | self._proof(verdict)

    def _miss(self, verdict: Verdict) -> dict[str, Any]:
        """The plan that misses a budget by least, and what costs it most."""
        closest, final = verdict.closest, _final(verdict.final)
        if closest is None:
            return {"closest": None, "final": final}
        most = costliest(closest, self.records)
        costs = {"costliest": asdict(most) if most else None}
        return {"closest": self._figures(closest) | costs, "final": final}

    def tested_winner(self, verdict: Verdict) -> Tested | None:
        """What the test split said of a verdict's winner, if it has one and was asked."""
        winner = verdict.winner.plan if verdict.winner else None
        return self.tested.get(tested_key(winner, verdict.final)) if winner else None

    def _proof(self, verdict: Verdict) -> dict[str, Any]:
        """How sure it is that the winner keeps within its budget."""
        tested, final = self.tested_winner(verdict), {"final": _final(verdict.final)}
        if tested is None:
            return final
        return final | {
            "test_accuracy": tested.accuracy,
            "test_drop": tested.drop,
            "test": tested.to_dict(),
            "word": tested.word(verdict.budget),
            "test_images_needed": tested.images_needed(verdict.budget),
        }

    def _figures(self, record: Record) -> dict[str, Any]:
        if record.plan is None or record.cost is None:
            raise ValueError(f"trial {record.number} has no plan")
        return {
            "trial": record.number,
            "plan": record.plan.to_dict(),
            "removed": asdict(record.removed) if record.removed else None,
            **record.cost.to_dict(),
            "accuracy": record.accuracy,
            "drop": record.drop,
            "times_smaller": times_smaller(self.baseline.cost, record.cost),
        }


_FIGURES = (
    "trial",
    "plan",
    "removed",
    "params",
    "params_effective",
    "macs",
    "flops",
    "flops_effective",
    "bops",
    "bytes",
    "accuracy",
    "drop",
    "times_smaller",
    "final",
    "test_accuracy",
    "test_drop",
    "test",
    "word",
    "test_images_needed",
)


def answer(
    study: optuna.Study,
    budgets: Sequence[Budget] = (),
    storage: str | None = None,
    seconds: Mapping[str, float] = MappingProxyType({}),
) -> Answer:
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
    finals, most = read_finals(study), read_most(study)
    asked = budgets or [Budget(float(value)) for value in study.user_attrs[BUDGETS]]
    return Answer(
        study=study.study_name,
        baseline=baseline,
        records=records,
        verdicts=[proven_verdict(records, finals, baseline, one, most) for one in asked],
        tested=read_tested(study),
        storage=storage,
        seconds=seconds,
        metric=metric_of(study),
        images=read_data_splits(study),
    )


def _final(final: Final | None) -> dict[str, Any] | None:
    """How a plan did when it was trained again."""
    if final is None:
        return None
    return {"seed": final.seed, "accuracy": final.accuracy, "drop": final.drop}


def _baseline(baseline: Baseline) -> dict[str, Any]:
    return {"accuracy": baseline.accuracy, **baseline.cost.to_dict()}
