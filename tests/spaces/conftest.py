"""What several of these tests share: traced models, independent counts, and the great comparison.

Expected figures come from torch's own FLOP counter and from `numel`, never from Paredown.
"""

import copy
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import pytest
import torch
from hypothesis import settings
from paredown.spaces.apply import apply_phase, predict_graph
from paredown.spaces.graph.blueprint import Blueprint
from paredown.spaces.graph.tracing import example_images, trace
from paredown.spaces.models import build_model
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.technique import ApplyContext, Phase
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

settings.register_profile("spaces", deadline=None)  # a busy machine is no failure
settings.load_profile("spaces")


class Traced(NamedTuple):
    """A model without weights, images for it, and its blueprint with groups."""

    network: nn.Module
    images: torch.Tensor
    blueprint: Blueprint


@lru_cache(maxsize=32)
def _traced(name: str, size: int) -> Traced:
    with torch.device("meta"):
        network = build_model(name, classes=10, channels=3)
    images = example_images(3, size)
    return Traced(network, images, trace_with_groups(network, images))


@pytest.fixture(scope="session")
def traced() -> Callable[[str, int], Traced]:
    """traced("resnet20", 32) -> the model on the meta device. Do not change the network."""
    return _traced


@pytest.fixture(scope="session")
def trained() -> Callable[[str], nn.Module]:
    """trained("resnet20") -> random weights, batch norms that do something, evaluation mode."""

    def trained(name: str) -> nn.Module:
        torch.manual_seed(0)
        network = build_model(name, 10, 3)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.5)
                nn.init.normal_(module.get_buffer("running_mean"), std=0.2)
                nn.init.uniform_(module.get_buffer("running_var"), 0.5, 1.5)
        return network.eval()

    return trained


def _count_macs(network: nn.Module, images: torch.Tensor) -> int:
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network.eval()(images)
    return int(counter.get_total_flops()) // 2 // len(images)


@pytest.fixture(scope="session")
def count_macs() -> Callable[[nn.Module, torch.Tensor], int]:
    """count_macs(network, images) -> MACs for one image, counted by torch."""
    return _count_macs


@pytest.fixture(scope="session")
def carry_out() -> Callable[..., nn.Module]:
    """carry_out(network, images, blueprint, plan) -> a copy that all of the plan was done to."""

    def carry_out(
        network: nn.Module, images: torch.Tensor, blueprint: Blueprint, plan: Plan
    ) -> nn.Module:
        changed = copy.deepcopy(network)
        for phase in Phase:
            labels = torch.zeros(len(images), dtype=torch.long, device=images.device)
            context = ApplyContext(images, [(images, labels)])
            changed = apply_phase(changed, blueprint, plan, phase, context)
        return changed

    return carry_out


@pytest.fixture(scope="session")
def assert_as_predicted(carry_out: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """Does a plan for real and sees that it costs what was predicted, layer by layer, and runs."""

    def check(
        network: nn.Module, images: torch.Tensor, blueprint: Blueprint, plan: Plan
    ) -> nn.Module:
        changed = carry_out(network, images, blueprint, plan)
        predicted = predict_graph(blueprint, plan)
        assert _rows(trace(changed, images)) == _rows(predicted)
        sizes = predicted.sizes
        params = sum(a.weights(sizes) + a.other_params(sizes) for a in predicted.layers)
        assert params == sum(p.numel() for p in changed.parameters())
        assert sum(a.macs(sizes) for a in predicted.layers) == _count_macs(changed, images)
        changed.train()(images).square().sum().backward()
        if not images.is_meta:
            gradients = [p.grad for p in changed.parameters() if p.grad is not None]
            assert all(torch.isfinite(gradient).all() for gradient in gradients)
        return changed

    return check


Row = tuple[str, str, int, int, int, int, int, int, int]


def _rows(blueprint: Blueprint) -> list[Row]:
    sizes = blueprint.sizes
    return [
        (
            layer.name,
            layer.op.value,
            layer.reads.count(sizes),
            layer.writes.count(sizes),
            layer.weights(sizes),
            layer.other_params(sizes),
            layer.macs(sizes),
            layer.weight_bits,
            layer.activation_bits,
        )
        for layer in blueprint.layers
    ]
