"""Nx1-1xN: factorization of an NxN convolution into an Nx1 and a 1xN convolution.

Szegedy et al.: Rethinking the Inception Architecture (2016), https://arxiv.org/abs/1512.00567,
section 3.2. The first convolution has as many output as input channels, as in the paper on which
Paredown is based. The initialisation from an existing convolution is scheme 2 of Jaderberg et al.:
Speeding up Convolutional Neural Networks with Low Rank Expansions (2014),
https://arxiv.org/abs/1405.3866.
"""

from __future__ import annotations

from collections import OrderedDict

from ...lazy_imports import nn, torch
from ..graph.sites import ConvSpec
from ..technique import TechniqueInfo
from .families import FAMILIES, ConvFamily, convolution, copy_bias


class Nx1ThenOnexN(ConvFamily):
    """k x 1, then 1 x k: k*in*in + k*in*out parameters instead of k*k*in*out."""

    info = TechniqueInfo(
        name="nx1-1xn",
        title="Nx1 then 1xN conv",
        replaces="3x3 and larger convs",
        saves="1.5x of params and FLOPs",
        paper="Inception v3, Szegedy et al. 2016",
        link="https://arxiv.org/abs/1512.00567",
    )

    def build(self, spec: ConvSpec) -> nn.Module:
        shape = spec.geometry
        tall = nn.Conv2d(
            spec.in_channels,
            spec.in_channels,
            (shape.kernel[0], 1),
            (shape.stride[0], 1),
            (shape.padding[0], 0),
            (shape.dilation[0], 1),
            bias=False,
        )
        wide = nn.Conv2d(
            spec.in_channels,
            spec.out_channels,
            (1, shape.kernel[1]),
            (1, shape.stride[1]),
            (0, shape.padding[1]),
            (1, shape.dilation[1]),
            bias=spec.bias,
        )
        return nn.Sequential(OrderedDict(nx1=tall, onexn=wide))

    def inherit(self, block: nn.Module, original: nn.Conv2d) -> None:
        """Factorize the kernel into the best sum of `in` column-row products, by SVD."""
        tall, wide = convolution(block, "nx1"), convolution(block, "onexn")
        weight = original.weight.detach().float()
        out, into, height, width = weight.shape
        matrix = weight.permute(1, 2, 0, 3).reshape(into * height, out * width)
        u, s, v = torch.linalg.svd(matrix, full_matrices=False)
        rank = min(tall.out_channels, len(s))
        root = s[:rank].sqrt()
        with torch.no_grad():
            columns = (u[:, :rank] * root).view(into, height, rank)
            rows = (v[:rank] * root[:, None]).view(rank, out, width)
            tall.weight[:rank] = columns.permute(2, 0, 1).unsqueeze(3)
            wide.weight[:, :rank] = rows.permute(1, 0, 2).unsqueeze(2)
            wide.weight[:, rank:] = 0  # channels beyond the kernel's rank contribute nothing
        copy_bias(wide, original)


FAMILIES.register(Nx1ThenOnexN())
