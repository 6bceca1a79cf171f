"""What a pruning criterion is: it says which channels of a group matter least."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from ...lazy_imports import nn
from ..graph.blueprint import Blueprint
from ..pruning.shrink import cut
from ..technique import ApplyContext, Described

if TYPE_CHECKING:
    from ..pruning.dependencies import Importance


class Criterion(Described, ABC):
    """A way to choose channels. How many go is predicted before, and no criterion changes it."""

    @abstractmethod
    def cut(
        self, network: nn.Module, before: Blueprint, after: Blueprint, context: ApplyContext
    ) -> nn.Module:
        """Make a network of blueprint `before` one of blueprint `after`, in place if possible."""


class Ranking(Criterion):
    """A criterion that scores channels one by one; Torch-Pruning removes the least of a group."""

    @abstractmethod
    def importance(self, network: nn.Module, context: ApplyContext) -> Importance | None:
        """The scorer of this network: [group] -> a figure per channel, the least important lowest.

        None where there is nothing to tell channels apart by: then scattered ones go.
        """

    def cut(
        self, network: nn.Module, before: Blueprint, after: Blueprint, context: ApplyContext
    ) -> nn.Module:
        importance = self.importance(network, context)
        cut_network = cut(network, context.images, before, after, importance, context.kept_channels)
        network.zero_grad(set_to_none=True)  # of criteria that look at gradients
        return cut_network
