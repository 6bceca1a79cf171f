"""ResNet-101 and VGG-19 for CIFAR, as in the paper on which Paredown is based.

Sobolewski and Szyc: Architecture Optimization Techniques for Convolutional Neural Networks:
Further Experiments and Insights (2024). ResNet-101 starts with a 3x3 convolution without pooling;
VGG-19 with batch norm ends in linear layers of 4,096, 4,096 and the classes, on 512 features.
"""

import torch
from torch import nn

from ..._torchvision import torchvision


class CifarVGG(nn.Module):
    """VGG-19 with batch norm for 32x32 images.

    Shapes: [batch, in_channels, 32, 32] -> [batch, classes].
    """

    def __init__(self, classes: int, in_channels: int) -> None:
        super().__init__()
        vgg = torchvision.models.vgg
        self.features: nn.Sequential = vgg.make_layers(vgg.cfgs["E"], batch_norm=True)
        if in_channels != 3:
            self.features[0] = nn.Conv2d(in_channels, 64, 3, padding=1)
        self.classifier = nn.Sequential(
            nn.Linear(512, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(4096, classes),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return out


def cifar_resnet101(classes: int, in_channels: int) -> nn.Module:
    """Build ResNet-101 for 32x32 images, [batch, in_channels, 32, 32] -> [batch, classes]."""
    network: nn.Module = torchvision.models.resnet101(num_classes=classes)
    network.conv1 = nn.Conv2d(in_channels, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.maxpool = nn.Identity()
    return network
