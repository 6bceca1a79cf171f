"""A network's tail tried out: whether what stands there may hand on another number of features.

A forward pass may reshape to a number that is written in it, as `x.view(-1, 512)` does, and what
runs as it is would then fail, or mix images, behind another head.
"""

import copy
from dataclasses import replace

import torch
from torch import nn

from ..graph.structure import ClassifierHead
from ..graph.submodules import replace_module, take_out


def verified_head(network: nn.Module, images: torch.Tensor, head: ClassifierHead) -> ClassifierHead:
    """The tail, marked as fixed if no other head can stand there.

    Args:
        network: on the meta device.
        images: [batch, channels, height, width] on the meta device.
    """
    if not head.pools or head.functional:
        return head
    bare, pooled = copy.deepcopy(network), _Pooled()
    for name in (*head.pools, *head.company, *head.linears):
        take_out(bare, name)
    replace_module(bare, head.pools[-1], pooled)
    try:
        with torch.no_grad():
            scores = bare.eval()(images)
    except Exception:  # whatever a forward pass raises on shapes that it did not expect
        return replace(head, fixed=True)
    return replace(head, fixed=tuple(scores.shape) != (len(images), pooled.width))


class _Pooled(nn.Module):
    """One pixel of one channel more than came in."""

    width = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.width = x.shape[1] + 1
        return x.new_zeros(len(x), self.width, 1, 1)
