"""Hessian: pruning by the change of the loss, to second order.

LeCun et al.: Optimal Brain Damage (1989). Deviation: the diagonal of the Hessian is approximated by
mean squared gradients of single images (the empirical Fisher information).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...heartbeat import beat
from ...lazy_imports import F, nn, torch, torch_pruning
from ..technique import ApplyContext, TechniqueInfo
from .criterion import Ranking
from .gradients import frozen_norms, gradient

if TYPE_CHECKING:
    from ..pruning.dependencies import Importance

_IMAGES = 64
"""The number of images; each needs its own backward pass."""


class Hessian(Ranking):
    """The sum of squared weights times mean squared gradients."""

    info = TechniqueInfo(
        name="hessian",
        title="smallest change of the loss, to second order",
        replaces="nothing",
        saves="nothing",
        paper="Optimal Brain Damage, LeCun et al. 1989",
        link="https://proceedings.neurips.cc/paper/1989/hash/6c9882bbac1c7093bd25041881277658-Abstract.html",
    )

    def importance(self, network: nn.Module, context: ApplyContext) -> Importance | None:
        if not context.examples:
            return None
        images, labels = (tensor[:_IMAGES] for tensor in context.examples[0])
        squares = {parameter: torch.zeros_like(parameter) for parameter in network.parameters()}
        with frozen_norms(network):
            losses = F.cross_entropy(network(images).float(), labels, reduction="none")
            for loss in losses:
                beat()
                network.zero_grad(set_to_none=True)
                loss.backward(retain_graph=True)
                for parameter, square in squares.items():
                    square += gradient(parameter).square()
        # NOTE: GroupHessianImportance of Torch-Pruning 1.6 should accumulate squared gradients of
        # all images itself, but keeps only those of the last one. So the mean is passed as .grad.
        for parameter, square in squares.items():
            parameter.grad = square / len(images)
        scorer: Importance = torch_pruning.importance.GroupHessianImportance()
        return scorer
