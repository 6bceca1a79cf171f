"""Models of a user's that end, hang or starve the process that trains them; for test_isolation.py.

Each is a small network with weights of its own, so that the baseline is only scored. What it does
comes after a few batches of training.
"""

import os
import resource
import signal
import time
from collections.abc import Callable

import torch
from torch import nn

_BATCHES = 3


class Net(nn.Module):
    """Two convolutions that misbehave once they were trained for a few batches."""

    def __init__(self, misbehave: Callable[[], None]) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
        )
        self.linear = nn.Linear(8, 10)
        self.misbehave, self.batches = misbehave, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and x.shape[0] > 2:
            self.batches += 1
            if self.batches > _BATCHES:
                self.misbehave()
        scores: torch.Tensor = self.linear(self.features(x).mean((2, 3)))
        return scores


def _segfault() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _exit() -> None:
    os._exit(7)


def _hang() -> None:
    time.sleep(1000)


def _talk() -> None:
    print("a line of the model's own")


def _fail() -> None:
    raise ValueError("an image was odd")


def _starve() -> None:
    """Allocate until the process is out of memory, of which it may have 1 GiB more than it has."""
    with open("/proc/self/statm") as sizes:  # noqa: PTH123
        taken = int(sizes.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + 2**30, resource.RLIM_INFINITY))
    held = [torch.ones(2**24) for _ in range(1000)]
    raise AssertionError(f"{len(held)} blocks of 64 MiB fit into 1 GiB")


def segfault() -> nn.Module:
    return Net(_segfault)


def killed() -> nn.Module:
    return Net(_killed)


def exits() -> nn.Module:
    return Net(_exit)


def hangs() -> nn.Module:
    return Net(_hang)


def talks() -> nn.Module:
    return Net(_talk)


def fails() -> nn.Module:
    return Net(_fail)


def starves() -> nn.Module:
    return Net(_starve)
