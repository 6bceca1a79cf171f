"""What all tests share: one thread each, and nothing of the user's is touched."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["OMP_NUM_THREADS"] = "1"  # for the commands that tests start

import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of this test run's own, for commands that tests start too."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("PAREDOWN_CACHE")
    os.environ["PAREDOWN_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["PAREDOWN_CACHE"]
    else:
        os.environ["PAREDOWN_CACHE"] = before
