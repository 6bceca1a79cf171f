"""Lookup of earlier trials of a plan, so that no evaluation is repeated."""

from collections.abc import Sequence

from ...spaces.plan import Plan
from ...spaces.technique import Phase
from ..study.trial_record import TrialRecord, TrialStatus


def trained_before(records: Sequence[TrialRecord], plan: Plan) -> TrialRecord | None:
    """An earlier trial that trained the network which this plan only quantizes."""
    trained = (record for record in records if record.status is TrialStatus.EVALUATED)
    return next((record for record in trained if _only_rounds(plan, record.plan)), None)


def settled_before(records: Sequence[TrialRecord], plan: Plan) -> TrialRecord | None:
    """An earlier trial that scored this plan, failed, or stopped its network early."""
    settled = [record for record in records if _settles(record, plan)]
    return min(settled, key=lambda record: not record.is_scored, default=None)


def _settles(known: TrialRecord, plan: Plan) -> bool:
    if known.status is TrialStatus.EARLY_STOPPED and _only_rounds(plan, known.plan):
        return True  # at any bit-widths
    return known.plan == plan and (known.is_scored or known.status is TrialStatus.FAILED)


def _only_rounds(plan: Plan, other: Plan | None) -> bool:
    """Whether two plans differ only in bit-widths, without quantization-aware training."""
    if other is None or plan.trains_at_last:
        return False
    return other.through(Phase.PRUNE) == plan.through(Phase.PRUNE)
