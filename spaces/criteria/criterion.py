"""Base classes of pruning criteria."""

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
    """Base class of pruning criteria, which select the channels to remove.

    The number of channels is predicted before, on the blueprint; a criterion cannot change it. Set
    `info`, implement :meth:`cut` and register an instance with `CRITERIA`; to score channels one by
    one, subclass `Ranking` instead.

    :meth:`cut` is called once per pruning step (`steps` in the plan), with fine-tuning between two
    steps. It is also called on networks without weights (meta device) and without examples, to see
    shapes; any channels will do then.
    """

    @abstractmethod
    def cut(
        self, network: nn.Module, before: Blueprint, after: Blueprint, context: ApplyContext
    ) -> nn.Module:
        """Prune a network from blueprint `before` to blueprint `after`, in place if possible.

        Args:
            network: the network to prune, whose blueprint is `before`.
            before, after: blueprints whose channel groups differ only in size.
            context: training images and the record of remaining channels.
        """


class Ranking(Criterion):
    """Base class of criteria that score channels; the lowest scores of each group are removed.

    For each pruning step, :meth:`importance` is called once; the scorer that it returns is called
    once per channel group, on the unpruned network, before any channel is removed.
    """

    @abstractmethod
    def importance(self, network: nn.Module, context: ApplyContext) -> Importance | None:
        """Return a scorer: Torch-Pruning group -> scores [channels], the least important lowest.

        May accumulate gradients in the network, which are cleared after the cut. Return None if
        channels cannot be ranked, as without examples: random channels are removed then.
        """

    def cut(
        self, network: nn.Module, before: Blueprint, after: Blueprint, context: ApplyContext
    ) -> nn.Module:
        importance = self.importance(network, context)
        cut_network = cut(network, context.images, before, after, importance, context.kept_channels)
        network.zero_grad(set_to_none=True)  # left by criteria that use gradients
        return cut_network
