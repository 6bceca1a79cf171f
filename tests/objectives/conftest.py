"""What the tests of objectives share: one thread, and images that are easy to tell apart."""

from collections.abc import Callable

import pytest
import torch
from paredown.objectives.data import MemoryImages

torch.set_num_threads(1)

MakeImages = Callable[..., MemoryImages]


@pytest.fixture(scope="session")
def make_images() -> MakeImages:
    """make_images(count, size=8, channels=1, seed=0) -> four classes: which quadrant is bright."""

    def make(count: int, size: int = 8, channels: int = 1, seed: int = 0) -> MemoryImages:
        random = torch.Generator().manual_seed(seed)
        labels = torch.arange(count) % 4
        pixels = torch.randint(0, 100, (count, channels, size, size), generator=random)
        half = size // 2
        for index, label in enumerate(labels.tolist()):
            top, left = half * (label // 2), half * (label % 2)
            pixels[index, :, top : top + half, left : left + half] += 120
        return MemoryImages(pixels.to(torch.uint8), labels)

    return make
