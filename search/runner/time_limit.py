"""A search's time limit, and the share of it that is reserved for the final evaluation."""

import time
from collections.abc import Callable, Sequence

from ...spaces.plan import Plan
from ...spaces.technique import Phase
from ..study.trial_record import TrialRecord, TrialStatus

_LARGEST_SHARE = 0.4
_SMALLEST_SHARE = 0.05
"""Limits of the reserved share."""
_MARGIN = 1.2
"""Safety factor of estimates, which come from few trials on a machine that may be busier later."""


class TimeLimit:
    """The deadline of a search.

    Args:
        seconds: time limit; None for no limit.
        began: start of the time limit, by `now`; by default the current time.
        now: a clock, in seconds.
    """

    def __init__(
        self,
        seconds: float | None,
        began: float | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now, self._seconds = now, seconds
        began = now() if began is None else began
        self.end = None if seconds is None else began + seconds
        self._reserved = _SMALLEST_SHARE * (seconds or 0.0)

    @property
    def end_before_reserve(self) -> float | None:
        """Deadline of everything but the final evaluation; None without a limit."""
        return None if self.end is None else self.end - self._reserved

    def reserve(self, seconds: float) -> None:
        """Reserve time for the final evaluation, within the limits above."""
        if self._seconds is not None:
            least, most = _SMALLEST_SHARE * self._seconds, _LARGEST_SHARE * self._seconds
            self._reserved = min(max(_MARGIN * seconds, least), most)

    def trials_may_go_on(self) -> bool:
        """Whether there is time for another trial."""
        return self.end_before_reserve is None or self._now() < self.end_before_reserve


def final_evaluation_seconds(
    winners: Sequence[TrialRecord],
    records: Sequence[TrialRecord],
    seconds_per_image: float,
    test_images: int,
    *,
    retrains: bool,
) -> float:
    """Estimate the time to retrain winners and score them on the test split, in seconds.

    Args:
        winners: current winners of the budgets.
        records: all trials.
        seconds_per_image: time to score an image with the baseline.
        test_images: number of images in the test split.
        retrains: whether winners are retrained.
    """
    plans = {record.plan: record for record in winners if record.plan is not None}
    look = seconds_per_image * test_images
    total = look  # the baseline's
    for plan, record in plans.items():
        total += look + _setup_seconds(record)
        total += _training_seconds(plan, records) if retrains else 0.0
    return total


def _setup_seconds(record: TrialRecord) -> float:
    """Seconds spent to quantize and score a plan."""
    return sum(record.seconds.get(stage, 0.0) for stage in ("quantize", "score"))


def _training_seconds(plan: Plan, records: Sequence[TrialRecord]) -> float:
    """Seconds spent to train and score the network that a plan quantizes."""
    network = plan.through(Phase.PRUNE)
    took = [
        sum(record.seconds.values())
        for record in records
        if record.plan is not None
        and record.status is TrialStatus.EVALUATED
        and record.plan.through(Phase.PRUNE) == network
    ]
    return max(took, default=0.0)
