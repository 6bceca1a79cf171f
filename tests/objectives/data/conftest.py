"""Folders of small images, written for a test."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

MakeFolder = Callable[..., Path]


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """make_folder({"cat": 6, "dog": 6}, size=(8, 8), suffix=".png", mode="RGB") -> the root."""

    def make(
        counts: Mapping[str, int],
        size: tuple[int, int] = (8, 8),
        suffix: str = ".png",
        mode: str = "RGB",
        root: str = "pets",
    ) -> Path:
        random = np.random.default_rng(0)
        for folder, count in counts.items():
            (tmp_path / root / folder).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
                pixels = random.integers(0, 256, shape, dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / root / folder / f"{number:03}{suffix}")
        return tmp_path / root

    return make
