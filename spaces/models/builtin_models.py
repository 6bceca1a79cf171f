"""Registration of Paredown's own models. Their modules and torch are imported on build."""

from __future__ import annotations

from functools import partial

from ...lazy_imports import nn
from .model import MODELS, Model

CIFAR_RESNET_DEPTHS = (8, 14, 20, 26, 32, 38, 44, 56)
"""The registered depths; not 50, because "resnet50" is torchvision's, for large images."""

_PAPER = "Sobolewski and Szyc 2024"
_LINK = "https://doi.org/10.1007/978-3-031-37720-4_25"


def _cifar_resnet(depth: int, classes: int, channels: int) -> nn.Module:
    from .cifar_resnet import CifarResNet

    return CifarResNet(depth, classes, channels)


def _resnet101_cifar(classes: int, channels: int) -> nn.Module:
    from .paper_models import cifar_resnet101

    return cifar_resnet101(classes, channels)


def _vgg19_cifar(classes: int, channels: int) -> nn.Module:
    from .paper_models import CifarVGG

    return CifarVGG(classes, channels)


for _depth in CIFAR_RESNET_DEPTHS:
    MODELS.register(
        Model(
            name=f"resnet{_depth}",
            title=f"CIFAR ResNet-{_depth}, for small images",
            build=partial(_cifar_resnet, _depth),
            channels=None,
            paper="He et al. 2016, section 4.2",
            link="https://arxiv.org/abs/1512.03385",
        )
    )
MODELS.register(
    Model(
        name="resnet101-cifar",
        title="ResNet-101 for 32x32 images",
        build=_resnet101_cifar,
        channels=None,
        paper=_PAPER,
        link=_LINK,
    )
)
MODELS.register(
    Model(
        name="vgg19-cifar",
        title="VGG-19 with batch norm for 32x32 images",
        build=_vgg19_cifar,
        channels=None,
        paper=_PAPER,
        link=_LINK,
    )
)
