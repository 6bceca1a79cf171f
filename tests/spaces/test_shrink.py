"""Removed channels are gone, and what is left computes as if they had been zero."""

import copy
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from paredown.spaces.graph.blueprint import Blueprint
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.dependencies import remove_channels
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.space import Space
from torch import nn

Trained = Callable[[str], nn.Module]
Kept = Mapping[str, torch.Tensor]  # group -> the indices of the channels that stay


def choose(blueprint: Blueprint, share: float) -> Kept:
    """For each group some channels to keep, at random."""
    torch.manual_seed(1)
    return {
        name: torch.randperm(group.size)[: max(1, int(group.size * share))].sort().values
        for name, group in blueprint.groups.items()
    }


def keeping(network: nn.Module, roots: Mapping[str, str], tensors: Kept) -> Callable[[Any], Any]:
    """An importance that makes just these channels stay."""
    chosen = {network.get_submodule(roots[name]): channels for name, channels in tensors.items()}

    def importance(group: Any) -> torch.Tensor:
        scores = torch.zeros(len(group[0].idxs))
        scores[chosen[group[0].dep.target.module]] = 1
        return scores

    return importance


def remove(
    network: nn.Module, images: torch.Tensor, blueprint: Blueprint, tensors: Kept
) -> nn.Module:
    roots = blueprint.roots
    cut = copy.deepcopy(network)
    counts = {roots[name]: len(channels) for name, channels in tensors.items()}
    return remove_channels(cut, images, counts, keeping(cut, roots, tensors))


def places(blueprint: Blueprint) -> Iterator[tuple[str, str]]:
    """In a ResNet of basic blocks: each group, and the modules that all its channels pass.

    Written by hand, from the architecture: what a block adds up belongs to its stage's stream,
    which begins at the stem or at the stage's first block; between its convolutions is its own.
    """
    names = {layer.name for layer in blueprint.layers}
    stages = sorted({name.split(".")[0] for name in names if name.startswith("layer")})
    for stage in stages:
        blocks = sorted({".".join(n.split(".")[:2]) for n in names if n.startswith(stage)})
        stream = "conv1" if stage == "layer1" else f"{stage}.0.conv2"
        if stage == "layer1":
            yield stream, "bn1"
        for block in blocks:
            yield stream, block
            yield f"{block}.conv1", f"{block}.bn1"


def masked(network: nn.Module, blueprint: Blueprint, tensors: Kept) -> nn.Module:
    """A copy in which the other channels are zero, wherever they pass."""

    def zero(module: nn.Module, _: Any, output: torch.Tensor, channels: torch.Tensor) -> Any:
        result = torch.zeros_like(output)
        result[:, channels] = output[:, channels]
        return result

    copied = copy.deepcopy(network)
    for group, place in places(blueprint):
        copied.get_submodule(place).register_forward_hook(partial(zero, channels=tensors[group]))
    return copied


@pytest.mark.parametrize("share", [0.9, 0.5, 0.2])
@pytest.mark.parametrize("name", ["resnet20", "resnet18"])
def test_a_cut_network_computes_as_with_zeroed_channels(
    trained: Trained, name: str, share: float
) -> None:
    network, images = trained(name), torch.randn(4, 3, 32, 32)
    blueprint = trace_with_groups(network, images)
    tensors = choose(blueprint, share)
    assert set(tensors) == {group for group, _ in places(blueprint)}
    cut = remove(network, images, blueprint, tensors)
    with torch.no_grad():
        wanted, got = masked(network, blueprint, tensors)(images), cut(images)
        untouched = network(images)
    scale = wanted.abs().max()
    assert (got - wanted).abs().max() / scale < 1e-4
    assert (untouched - wanted).abs().max() / scale > 1e-2  # there was something to get wrong
    for group, channels in tensors.items():
        root = cut.get_submodule(blueprint.roots[group])
        assert isinstance(root, nn.Conv2d)
        assert root.out_channels == len(root.weight) == len(channels)
    assert not cut.training


@pytest.mark.parametrize("name", ["resnet20", "resnet18"])
def test_what_stays_is_a_part_of_what_was(trained: Trained, name: str) -> None:
    network, images = trained(name), torch.randn(2, 3, 32, 32)
    blueprint = trace_with_groups(network, images)
    tensors = choose(blueprint, 0.5)
    cut = remove(network, images, blueprint, tensors)
    before, after = network.state_dict(), cut.state_dict()
    for stage in (1, 2, 3):
        stream = tensors["conv1" if stage == 1 else f"layer{stage}.0.conv2"]
        inner = tensors[f"layer{stage}.1.conv1"]
        block = f"layer{stage}.1"
        assert torch.equal(
            after[f"{block}.conv1.weight"], before[f"{block}.conv1.weight"][inner][:, stream]
        )
        assert torch.equal(
            after[f"{block}.conv2.weight"], before[f"{block}.conv2.weight"][stream][:, inner]
        )
        for part in ("weight", "bias", "running_mean", "running_var"):
            assert torch.equal(after[f"{block}.bn1.{part}"], before[f"{block}.bn1.{part}"][inner])


class Joined(nn.Module):
    """Side by side, then flattened: one channel is one channel here, and four inputs there."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(3, 6, 3, padding=1)
        self.right = nn.Conv2d(3, 10, 3, padding=1)
        self.last = nn.Conv2d(16, 12, 3, padding=1)
        self.classifier = nn.Linear(12 * 4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([self.right(x), self.left(x)], 1).relu()
        x = F.adaptive_avg_pool2d(self.last(x).relu(), 2)
        out: torch.Tensor = self.classifier(x.flatten(1))
        return out


def test_concatenated_and_flattened_channels_are_cut_where_they_lie() -> None:
    torch.manual_seed(0)
    network, images = Joined().eval(), torch.randn(4, 3, 8, 8)
    blueprint = trace_with_groups(network, images)
    tensors = choose(blueprint, 0.5)
    assert set(tensors) == {"left", "right", "last"}
    cut = remove(network, images, blueprint, tensors)
    zeroed = copy.deepcopy(network)
    for name, channels in tensors.items():
        conv = zeroed.get_submodule(name)
        assert isinstance(conv, nn.Conv2d)
        assert conv.bias is not None
        gone = torch.ones(conv.out_channels, dtype=torch.bool)
        gone[channels] = False
        with torch.no_grad():
            conv.weight[gone] = 0
            conv.bias[gone] = 0
    assert torch.allclose(cut(images), zeroed(images), atol=1e-5)
    assert cut.get_submodule("classifier").in_features == len(tensors["last"]) * 4
    assert not torch.allclose(network(images), zeroed(images), atol=1e-3)


@pytest.mark.parametrize("kind", ["width", "prune"])
def test_the_smallest_channels_go(
    trained: Trained, kind: str, carry_out: Callable[..., nn.Module]
) -> None:
    network, images = trained("resnet20"), torch.randn(2, 3, 32, 32)
    torch.manual_seed(2)
    large = torch.randperm(32)[:16].sort().values
    small = torch.tensor([c for c in range(32) if c not in set(large.tolist())])
    before = network.state_dict()  # shares its memory with the network
    before["layer2.1.conv1.weight"][small] *= 1e-3
    before["layer2.1.bn1.weight"][small] *= 1e-3
    before["layer2.1.conv2.weight"][:, small] *= 1e-3
    blueprint = trace_with_groups(network, images)
    changed = carry_out(network, images, blueprint, Plan.of({kind: {"stage2": 0.5}}))
    after = changed.state_dict()
    for part in ("layer2.1.bn1.weight", "layer2.1.bn1.bias", "layer2.1.bn1.running_mean"):
        assert torch.equal(after[part], before[part][large])


def test_a_stage_skipped_keeps_its_channels(
    trained: Trained, carry_out: Callable[..., nn.Module]
) -> None:
    network, images = trained("resnet20"), torch.randn(2, 3, 32, 32)
    blueprint = trace_with_groups(network, images)
    changed = carry_out(network, images, blueprint, Plan.of({"prune": {"stage2": 0.5}}))
    before, after = network.state_dict(), changed.state_dict()
    for name, tensor in before.items():
        if name.startswith(("conv1", "bn1", "layer1", "layer3.1")):
            assert torch.equal(after[name], tensor), name
        if name.startswith("layer2") and name.endswith("weight"):
            assert len(after[name]) == len(tensor) // 2, name


def test_a_cut_network_learns(trained: Trained, carry_out: Callable[..., nn.Module]) -> None:
    network, images = trained("resnet20"), torch.randn(4, 3, 32, 32)
    blueprint = trace_with_groups(network, images)
    space = Space.of(blueprint, {"bits": (), "block": ()})
    changed = carry_out(network, images, blueprint, space.uniform(1)).train()
    optimizer = torch.optim.SGD(changed.parameters(), lr=0.01)
    labels, losses = torch.tensor([0, 1, 2, 3]), []
    for _ in range(8):
        loss = F.cross_entropy(changed(images), labels)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] * 0.9
    assert all(p.grad is not None for p in changed.parameters())


def test_nothing_to_keep_less_of_changes_nothing(trained: Trained) -> None:
    network, images = trained("resnet20").train(), torch.randn(2, 3, 32, 32)
    before = copy.deepcopy(network.state_dict())

    def never(group: Any) -> torch.Tensor:
        raise AssertionError("nothing is to be scored")

    assert remove_channels(network, images, {"conv1": 16, "layer2.0.conv1": 99}, never) is network
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert network.training


def test_a_criterion_without_scores_is_told(trained: Trained) -> None:
    network, images = trained("resnet20"), torch.randn(2, 3, 32, 32)
    with pytest.raises(ValueError, match="no score for the channels of conv1"):
        remove_channels(network, images, {"conv1": 8}, lambda group: None)
