"""Verification that a network's classifier head can have another number of features.

A forward pass may reshape to a constant, as `x.view(-1, 512)` does. With another head, the network
would then fail or mix the features of several images.
"""

import copy
from dataclasses import replace

import torch
from torch import nn

from ..graph.structure import ClassifierHead
from ..graph.submodules import replace_module, take_out


def verified_head(network: nn.Module, images: torch.Tensor, head: ClassifierHead) -> ClassifierHead:
    """Return the head, with `fixed` set if it cannot be replaced.

    Args:
        network: on the meta device.
        images: [batch, channels, height, width] on the meta device.
        head: the detected head.
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
    except Exception:  # the forward pass may raise anything on unexpected shapes
        return replace(head, fixed=True)
    return replace(head, fixed=tuple(scores.shape) != (len(images), pooled.width))


class _Pooled(nn.Module):
    """Returns one pixel with one channel more than the input."""

    width = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.width = x.shape[1] + 1
        return x.new_zeros(len(x), self.width, 1, 1)
