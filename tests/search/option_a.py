"""ResNet-20 for CIFAR with option A shortcuts.

He et al.: Deep Residual Learning for Image Recognition (2015), https://arxiv.org/abs/1512.03385,
section 4.2.
"""

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    """Two 3x3 convolutions; where the shape changes the shortcut is sliced and padded."""

    def __init__(self, reads: int, writes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(reads, writes, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(writes)
        self.conv2 = nn.Conv2d(writes, writes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(writes)
        self.changes, self.more = stride != 1 or reads != writes, (writes - reads) // 2

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(images)))))
        if self.changes:
            images = F.pad(images[:, :, ::2, ::2], (0, 0, 0, 0, self.more, self.more))
        return F.relu(out + images)


class OptionA(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Block(16, 16, 1), Block(16, 16, 1), Block(16, 16, 1))
        self.layer2 = nn.Sequential(Block(16, 32, 2), Block(32, 32, 1), Block(32, 32, 1))
        self.layer3 = nn.Sequential(Block(32, 64, 2), Block(64, 64, 1), Block(64, 64, 1))
        self.linear = nn.Linear(64, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        out = F.relu(self.bn1(self.conv1(images)))
        out = self.layer3(self.layer2(self.layer1(out)))
        scores: torch.Tensor = self.linear(F.adaptive_avg_pool2d(out, 1).flatten(1))
        return scores


def resnet20(classes: int = 10) -> nn.Module:
    return OptionA(classes)
