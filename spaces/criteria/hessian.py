"""Hessian: channels whose loss changes least, to second order, if they go."""

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
"""Each has a backward pass of its own."""


class Hessian(Ranking):
    """Squared weights times the diagonal of the Hessian, which squared gradients stand in for."""

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
        # Torch-Pruning 1.6 would add these up itself, but keeps the last image's alone.
        for parameter, square in squares.items():
            parameter.grad = square / len(images)
        scorer: Importance = torch_pruning.importance.GroupHessianImportance()
        return scorer
