"""Where the time of a search goes: seconds per part, none of them counted twice."""

from collections.abc import Callable, Mapping

from ...objectives.evaluation.checkpoints import EarlyStopped
from ...objectives.evaluation.outcome import Outcome
from ...objectives.training.progress import Timings
from ...spaces.plan import Plan

TRAINING = "training"
PRUNING = "pruning"
QUANTIZING = "quantizing"
SCORING = "scoring"
ASSEMBLING = "assembling"
SAMPLING = "sampling"
STORAGE = "storage"
UNFINISHED = "unfinished"
OTHER = "other"

_PART_OF = {
    "baseline": TRAINING,
    "train": TRAINING,
    "fine-tune": TRAINING,
    "prune": PRUNING,
    "quantize": QUANTIZING,
    "score": SCORING,
    "assemble": ASSEMBLING,
}
"""Stage of an evaluation -> part; a stage that is not here is a part by its own name."""


class Profiler(Timings):
    """Adds up the seconds of each part of a search."""

    @property
    def seconds(self) -> dict[str, float]:
        """Part -> seconds, the longest first."""
        return dict(sorted(super().seconds.items(), key=lambda pair: -pair[1]))

    def evaluation(
        self, evaluate: Callable[[Plan], Outcome], plan: Plan, rest: str = OTHER
    ) -> Outcome:
        """Evaluate a plan and count each stage under its part.

        Args:
            evaluate: gives the outcome of a plan.
            plan: to evaluate.
            rest: the part of what belongs to no stage.
        """
        # The stages of what is interrupted or fails are told to nobody.
        with self.on(UNFINISHED):
            began, spent = self.now(), dict[str, float]()
            try:
                outcome = evaluate(plan)
                spent = dict(outcome.seconds)
            except EarlyStopped as stopped:
                spent = dict(stopped.seconds)
                raise
            finally:
                if spent:
                    self._share(spent, self.now() - began, plan, rest)
        return outcome

    def _share(self, spent: Mapping[str, float], took: float, plan: Plan, rest: str) -> None:
        """Count the stages of an evaluation under their parts."""
        for stage, seconds in spent.items():
            self.move(part_of(stage, trains_at_last=plan.trains_at_last), seconds)
        self.move(rest, took - sum(spent.values()))


def part_of(stage: str, *, trains_at_last: bool) -> str:
    """The part that a stage of an evaluation counts to.

    Args:
        stage: its name.
        trains_at_last: whether the plan's last phase trains too.
    """
    return TRAINING if stage == "quantize" and trains_at_last else _PART_OF.get(stage, stage)
