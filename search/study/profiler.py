"""Time breakdown of a search: seconds per part, without double counting."""

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
"""Stage of an evaluation -> part; other stages are parts of their own."""


class Profiler(Timings):
    """Adds up the seconds of each part of a search."""

    @property
    def seconds(self) -> dict[str, float]:
        """Part -> seconds, the longest first."""
        return dict(sorted(super().seconds.items(), key=lambda pair: -pair[1]))

    def evaluation(
        self, evaluate: Callable[[Plan], Outcome], plan: Plan, rest: str = OTHER
    ) -> Outcome:
        """Evaluate a plan, and add the time of each stage to its part.

        Args:
            evaluate: plan -> outcome.
            plan: the plan to evaluate.
            rest: part for the time outside of all stages.
        """
        # The stages of an interrupted or failed evaluation are unknown.
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
        """Add the stages of an evaluation to their parts."""
        for stage, seconds in spent.items():
            self.move(part_of(stage, trains_at_last=plan.trains_at_last), seconds)
        self.move(rest, took - sum(spent.values()))


def part_of(stage: str, *, trains_at_last: bool) -> str:
    """The part to which a stage belongs.

    Args:
        stage: name of the stage.
        trains_at_last: whether the plan's last phase trains, as in quantization-aware training.
    """
    return TRAINING if stage == "quantize" and trains_at_last else _PART_OF.get(stage, stage)
