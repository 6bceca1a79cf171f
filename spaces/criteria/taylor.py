"""Taylor: pruning by the change of the loss, to first order.

Molchanov et al.: Importance Estimation for Neural Network Pruning (2019),
https://arxiv.org/abs/1906.10771.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy_imports import F, nn, torch_pruning
from ..technique import ApplyContext, TechniqueInfo
from .criterion import Ranking
from .gradients import filled_gradients, frozen_norms

if TYPE_CHECKING:
    from ..pruning.dependencies import Importance


class Taylor(Ranking):
    """The absolute products of weights and gradients, on calibration images."""

    info = TechniqueInfo(
        name="taylor",
        title="smallest change of the loss, to first order",
        replaces="nothing",
        saves="nothing",
        paper="Importance Estimation, Molchanov et al. 2019",
        link="https://arxiv.org/abs/1906.10771",
    )

    def importance(self, network: nn.Module, context: ApplyContext) -> Importance | None:
        if not context.examples:
            return None
        with frozen_norms(network):
            for images, labels in context.examples:
                loss = F.cross_entropy(network(images).float(), labels)
                loss.backward()  # type: ignore[no-untyped-call]
        filled_gradients(network)
        scorer: Importance = torch_pruning.importance.GroupTaylorImportance()
        return scorer
