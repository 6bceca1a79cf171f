"""The effect of a plan's pruning ratios on channels, parameters and MACs."""

from dataclasses import dataclass

from ...spaces.apply import predict_graph
from ...spaces.graph.blueprint import Blueprint
from ...spaces.plan import Plan
from ...spaces.technique import Phase
from .cost import count


@dataclass(frozen=True)
class PrunedShare:
    """The shares that pruning removes from a network, 0 to 1.

    Attributes:
        channels: the share of the channels of all groups.
        params, macs: the shares of the network's parameters and MACs.
    """

    channels: float
    params: float
    macs: float

    @property
    def text(self) -> str:
        """The shares as a sentence."""
        return (
            f"pruning removes {self.channels:.0%} of the channels: "
            f"{self.params:.0%} of the params and {self.macs:.0%} of the MACs"
        )


def pruned_share(blueprint: Blueprint, plan: Plan) -> PrunedShare | None:
    """Compute the shares that a plan's pruning removes; None if it prunes no channels.

    Args:
        blueprint: the baseline, with channel groups.
        plan: a plan from the network's search space.
    """
    if plan.through(Phase.PRUNE) == plan.through(Phase.STRUCTURE):
        return None
    before = predict_graph(blueprint, plan, Phase.STRUCTURE)
    after = predict_graph(blueprint, plan, Phase.PRUNE)
    channels, left = sum(before.sizes.values()), sum(after.sizes.values())
    if channels == left:
        return None
    whole, pruned = count(before), count(after)
    return PrunedShare(
        channels=1 - left / channels,
        params=1 - pruned.params / whole.params,
        macs=1 - pruned.macs / whole.macs,
    )
