"""Training is right on lesser processors too, which this one plays in processes of their own.

In small; `benchmarks/processors.py` has the whole.
"""

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping

import pytest
import torch
import torch.nn.functional as F
from paredown.objectives.training.convolution_checks import HEAP_CHECKS, PLAYED
from paredown.objectives.training.device import has_bf16
from paredown.safe_convolutions import safe_convolutions
from paredown.spaces.quantization.layers import quantized
from paredown.spaces.quantization.widths import BitWidth
from torch import nn
from torch.overrides import _get_current_function_mode_stack

CHECK = """
import json, torch
from paredown.objectives.training.convolution_checks import check_convolutions
from paredown.objectives.training.device import hardware
torch.set_num_threads(1)
print(json.dumps([hardware(), check_convolutions(draws=60)]))
"""


@pytest.mark.parametrize("processor", PLAYED)
def test_convolutions_and_their_gradients_are_right(processor: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", CHECK],
        env={**os.environ, **PLAYED[processor], **HEAP_CHECKS},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, f"died as {processor}: {ran.stderr[-500:]}"
    hardware, faults = json.loads(ran.stdout)
    assert faults == []
    if processor in ("AVX2", "AVX-512"):
        assert hardware == "cpu fp32"  # oneDNN would emulate bfloat16 on the second


@pytest.mark.parametrize("limit", ["AVX512_CORE", "avx512_core_vnni"])
def test_emulated_bfloat16_does_not_count(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    if torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512"):
        assert not has_bf16(torch.device("cpu"))


def learned(network: nn.Module, images: torch.Tensor, safe: bool) -> list[torch.Tensor]:
    """The output of a network and its gradients."""
    network.zero_grad(set_to_none=True)
    if safe:
        with safe_convolutions(network):
            created = network(images)
            torch.autograd.backward(created.square().sum())
    else:
        created = network(images)
        torch.autograd.backward(created.square().sum())
    return [created.detach(), *(p.grad.clone() for p in network.parameters() if p.grad is not None)]


class Functional(nn.Module):
    """Calls convolutions as a user may."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(16, 4, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        narrow = F.conv2d(x, weight=self.weight, stride=(2, 2))
        exported: torch.Tensor = torch.ops.aten.conv2d.default(x, self.weight, None, [2, 2])
        return torch.conv2d(narrow, self.weight[:, :, :1].repeat(1, 4, 1, 1)) + exported


NETWORKS: Mapping[str, Callable[[], nn.Module]] = {
    "layer": lambda: nn.Conv2d(4, 16, 1, stride=2),
    "stride in one direction": lambda: nn.Conv2d(4, 16, 1, stride=(1, 2)),
    "groups": lambda: nn.Conv2d(4, 16, 1, stride=2, groups=2),
    "padded": lambda: nn.Conv2d(4, 16, 1, stride=2, padding=1),
    "functional": Functional,
    "dilated": lambda: nn.Conv2d(4, 6, 3, stride=2, padding=2, dilation=2),
    "dilated, as large": lambda: nn.Conv2d(4, 6, (4, 1), padding="same", dilation=2),
    "dilated, valid": lambda: nn.Conv2d(4, 6, 3, padding="valid", dilation=2),
    "of lines": lambda: nn.Sequential(nn.Flatten(2), nn.Conv1d(4, 8, 1, stride=2)),
    "quantized": lambda: quantized(nn.Conv2d(4, 16, 1, stride=2), BitWidth(8, 8), (-4.0, 4.0)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_safe_convolutions_compute_the_same(name: str) -> None:
    torch.manual_seed(0)
    network, images = NETWORKS[name](), torch.randn(2, 4, 9, 7)
    # Contiguous, and few of them: torch's own are right.
    plain = learned(copy.deepcopy(network), images, safe=False)
    for created, right in zip(learned(network, images, safe=True), plain, strict=True):
        assert created.shape == right.shape
        torch.testing.assert_close(created, right, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["layer", "functional", "quantized"])
def test_strided_ones_of_few_channels_never_reach_the_library(name: str) -> None:
    network = NETWORKS[name]()
    seen = strides(network, torch.randn(2, 4, 8, 8))
    assert seen
    assert all(stride == [1, 1] for stride in seen)


def strides(network: nn.Module, images: torch.Tensor) -> list[object]:
    """Of the convolutions that torch computes backward."""
    with safe_convolutions(network), torch.profiler.profile(record_shapes=True) as profile:
        torch.autograd.backward(network(images).sum())
    return [
        event.concrete_inputs[4]
        for event in profile.events()
        if event.name == "aten::convolution_backward"
    ]


def test_bfloat16_comes_back_as_bfloat16() -> None:
    layer = nn.Conv2d(4, 8, 3, stride=2, padding=1)
    with safe_convolutions(layer), torch.autocast("cpu", torch.bfloat16):
        narrow = layer(torch.ones(2, 4, 1, 1))
    assert narrow.dtype == torch.bfloat16
    torch.testing.assert_close(narrow.float(), layer(torch.ones(2, 4, 1, 1)), rtol=0.02, atol=0.02)


def test_scoring_and_other_devices_stay_as_they_are() -> None:
    layer, images = nn.Conv2d(4, 16, 1, stride=2), torch.randn(2, 4, 8, 8)
    with torch.inference_mode():
        plain = layer(images)
        with safe_convolutions(layer):
            assert torch.equal(layer(images), plain)
    elsewhere = nn.Conv2d(4, 16, 1, stride=2, device="meta")
    with safe_convolutions(elsewhere):
        assert not _get_current_function_mode_stack()  # type: ignore[no-untyped-call]
