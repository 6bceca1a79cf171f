"""What a pruning ratio came to: channels, and with them parameters and MACs."""

from dataclasses import dataclass

from ...spaces.apply import predict_graph
from ...spaces.graph.blueprint import Blueprint
from ...spaces.plan import Plan
from ...spaces.technique import Phase
from .cost import count


@dataclass(frozen=True)
class PrunedShare:
    """The shares of the network before pruning that pruning removed, 0 to 1.

    Attributes:
        channels: of all channel groups together.
        params, macs: of the network.
    """

    channels: float
    params: float
    macs: float

    @property
    def text(self) -> str:
        """In words."""
        return (
            f"pruning removes {self.channels:.0%} of the channels: "
            f"{self.params:.0%} of the params and {self.macs:.0%} of the MACs"
        )


def pruned_share(blueprint: Blueprint, plan: Plan) -> PrunedShare | None:
    """What a plan's pruning removes; None if it prunes no channels.

    Args:
        blueprint: of the untouched network, with its channel groups.
        plan: a plan that the network's space holds.
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
