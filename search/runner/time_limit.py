"""A search's time limit, and the share of it that is set aside for proving its winners."""

import time
from collections.abc import Callable, Sequence

from ...spaces.plan import Plan
from ...spaces.technique import Phase
from ..study.trial_record import TrialRecord, TrialStatus

_LARGEST_SHARE = 0.4
"""Of the limit, that finalists and test scores may claim of the search."""

_SMALLEST_SHARE = 0.05
_MARGIN = 1.2
"""Estimates are from a few trials, on a machine that may be busy later."""


class TimeLimit:
    """When a search has to end.

    Args:
        seconds: from the beginning; None for no limit.
        began: when it began, by `now`; now, if not given.
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
        """When work has to end that is not what time is set aside for; None for never."""
        return None if self.end is None else self.end - self._reserved

    def reserve(self, seconds: float) -> None:
        """Set time aside for what comes after the trials, within the shares above."""
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
    """Estimate what it takes to train winners again and to score them on the test split.

    Args:
        winners: of the budgets so far.
        records: all trials.
        seconds_per_image: that the baseline takes to be scored.
        test_images: in the test split.
        retrains: whether winners are trained again.
    """
    plans = {record.plan: record for record in winners if record.plan is not None}
    look = seconds_per_image * test_images
    total = look  # the baseline's
    for plan, record in plans.items():
        total += look + _setup_seconds(record)
        total += _training_seconds(plan, records) if retrains else 0.0
    return total


def _setup_seconds(record: TrialRecord) -> float:
    """What it took to quantize and score a plan whose network was trained."""
    return sum(record.seconds.get(stage, 0.0) for stage in ("quantize", "score"))


def _training_seconds(plan: Plan, records: Sequence[TrialRecord]) -> float:
    """What it took to train and score the network that a plan rounds."""
    network = plan.through(Phase.PRUNE)
    took = [
        sum(record.seconds.values())
        for record in records
        if record.plan is not None
        and record.status is TrialStatus.EVALUATED
        and record.plan.through(Phase.PRUNE) == network
    ]
    return max(took, default=0.0)
