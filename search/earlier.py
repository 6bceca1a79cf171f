"""What earlier trials of a study say about a plan, so that nothing is done twice."""

from collections.abc import Sequence

from ..spaces.kind import Phase
from ..spaces.plan import Plan
from .record import How, Record


def trained_before(records: Sequence[Record], plan: Plan) -> Record | None:
    """An earlier trial that trained the network which this plan only rounds."""
    if plan.trains_at_last:
        return None
    part = plan.through(Phase.PRUNE)
    return next(
        (
            record
            for record in records
            if record.how is How.EVALUATED
            and record.plan is not None
            and record.plan.through(Phase.PRUNE) == part
        ),
        None,
    )


def settled_before(records: Sequence[Record], plan: Plan) -> Record | None:
    """A trial that evaluated this plan, failed at it, or found its network to be hopeless."""
    same = [record for record in records if record.plan == plan]
    settled = [record for record in same if record.is_scored or record.how is How.FAILED]
    settled += [record for record in records if _is_hopeless_at_any_bits(record, plan)]
    return min(settled, key=lambda record: not record.is_scored, default=None)


def _is_hopeless_at_any_bits(known: Record, plan: Plan) -> bool:
    """Whether a plan only rounds a network that has been found to be hopeless."""
    if known.how is not How.HOPELESS or known.plan is None or plan.trains_at_last:
        return False
    return known.plan.through(Phase.PRUNE) == plan.through(Phase.PRUNE)
