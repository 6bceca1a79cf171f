"""Additions to blocks, by name: "ghost+se". `BlockFamily.additions` lists the accepted ones."""

from ...registry import Registry
from ..technique import TechniqueInfo

ADDITIONS: Registry[TechniqueInfo] = Registry("addition", see="paredown techniques")

for _technique in (
    TechniqueInfo(
        name="se",
        title="squeeze-and-excitation: a gate per channel",
        replaces="nothing",
        saves="costs params, hardly any FLOPs",
        paper="Squeeze-and-Excitation, Hu et al. 2018",
        link="https://arxiv.org/abs/1709.01507",
    ),
    TechniqueInfo(
        name="residual",
        title="adds the input to the output where shapes match, eases training",
        replaces="nothing",
        saves="nothing",
        paper="Deep Residual Learning, He et al. 2016",
        link="https://arxiv.org/abs/1512.03385",
    ),
    TechniqueInfo(
        name="shuffle",
        title="1x1 convs in 4 groups with channel shuffle",
        replaces="1x1 convs of a block",
        saves="2x in Ghost bottlenecks, 11x in Fire",
        paper="ShuffleNet, Zhang et al. 2018",
        link="https://arxiv.org/abs/1707.01083",
    ),
    TechniqueInfo(
        name="depthwise",
        title="depthwise conv",
        replaces="the 3x3 conv of a Fire module",
        saves="3-4x of a Fire module",
        paper="MobileNets, Howard et al. 2017",
        link="https://arxiv.org/abs/1704.04861",
    ),
    TechniqueInfo(
        name="ghost",
        title="Ghost modules",
        replaces="convs of a Fire module",
        saves="4x of a Fire module",
        paper="GhostNet, Han et al. 2020",
        link="https://arxiv.org/abs/1911.11907",
    ),
    TechniqueInfo(
        name="dice",
        title="DiCE unit",
        replaces="the 3x3 conv of a Fire module",
        saves="2-7x of a Fire module",
        paper="DiCENet, Mehta et al. 2020",
        link="https://arxiv.org/abs/1906.03516",
    ),
    TechniqueInfo(
        name="published",
        title="one batch norm whose output is unused, as in the paper's code",
        replaces="a batch norm of a Fire module",
        saves="nothing",
        paper="Sobolewski and Szyc 2024",
        link="https://doi.org/10.1007/978-3-031-37720-4_25",
    ),
    TechniqueInfo(
        name="hswish",
        title="hard-swish",
        replaces="ReLU6 of a block",
        saves="nothing",
        paper="MobileNetV3, Howard et al. 2019",
        link="https://arxiv.org/abs/1905.02244",
    ),
    TechniqueInfo(
        name="narrow",
        title="strided blocks get the hidden width of the block before",
        replaces="hidden width of strided blocks",
        saves="up to 1.3x of a network",
        paper="MobileNetV2, Sandler et al. 2018",
        link="https://arxiv.org/abs/1801.04381",
    ),
    TechniqueInfo(
        name="early",
        title="the stride moves to the block before, if that is replaced too",
        replaces="strided blocks",
        saves="up to 1.3x of FLOPs, costs params",
    ),
):
    ADDITIONS.register(_technique)
