"""The parts that a plan has changed, and which channels of the network before them are left."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from paredown.objectives.training.block_fitting import shapes_match, teacher_features
from paredown.objectives.training.changed_parts import ReplacedPart, find_parts, shape_of
from paredown.spaces.apply import apply_phase
from paredown.spaces.graph.blueprint import Blueprint
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.technique import ApplyContext, Phase
from torch import nn


class Changed:
    """A network, the same after a plan, and what came of it."""

    def __init__(
        self,
        network: nn.Module,
        blueprint: Blueprint,
        chosen: dict[str, object],
        phases: tuple[Phase, ...] = (Phase.STRUCTURE, Phase.PRUNE),
    ) -> None:
        self.old, self.new, self.blueprint = network, copy.deepcopy(network), blueprint
        self.images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        context = ApplyContext(self.images)
        torch.manual_seed(0)
        for phase in phases:
            self.new = apply_phase(self.new, self.blueprint, Plan.of(chosen), phase, context)
        self.kept = context.kept_channels
        self.parts = find_parts(self.blueprint, self.old, self.new, self.kept)

    @property
    def names(self) -> list[str]:
        """Of the parts' modules, joined."""
        return [" ".join(part.modules) for part in self.parts]

    def fits(self, part: ReplacedPart) -> bool:
        """Whether the new part reads and writes what the old network gives it and makes."""
        inputs, wanted = teacher_features(self.old, part, self.images)
        return shapes_match(part.of(self.new), inputs, wanted)


Change = Callable[..., Changed]


@pytest.fixture
def change(traced: Callable[..., Any], trained: Callable[[str], nn.Module]) -> Change:
    """change("resnet20", {"width": {"stage1": 0.5}}) -> what came of it."""

    def change(name: str, chosen: dict[str, object], **phases: tuple[Phase, ...]) -> Changed:
        return Changed(trained(name), traced(name, 32).blueprint, chosen, **phases)

    return change


def layer(stage: int, *blocks: int) -> list[str]:
    return [f"layer{stage}.{block}" for block in blocks]


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        ({}, []),
        ({"block": {"stage1": "inverted"}}, layer(1, 0, 1, 2)),
        ({"block": {"layer2.1.conv1": "ghost"}}, layer(2, 1)),
        ({"block": {"stem": "separable", "stage3": "nx1-1xn"}}, ["conv1 bn1", *layer(3, 0, 1, 2)]),
        # What reads the cut channels changes too.
        ({"width": {"stage2": 0.5}}, [*layer(2, 0, 1, 2), "layer3.0"]),
        ({"prune": {"stage3": 0.5}}, [*layer(3, 0, 1, 2), "linear"]),
        ({"trunk": {"stage3": "thin"}}, [*layer(3, 0, 1, 2), "linear"]),
        ({"width": {"stage1": 0.5}}, ["conv1 bn1", *layer(1, 0, 1, 2), "layer2.0"]),
        ({"depth": {"stage1": 0.5}}, layer(1, 2)),
        ({"resolution": {"input": 0.5}}, []),
        ({"resolution": {"input": 0.5}, "block": {"stage1": "ghost"}}, layer(1, 0, 1, 2)),
        ({"sparse": {"stage1": 0.5}}, layer(1, 0, 1, 2)),
    ],
)
def test_just_the_changed_parts_are_found_in_running_order(
    change: Change, chosen: dict[str, object], names: list[str]
) -> None:
    changed = change("resnet20", chosen)
    assert changed.names == names
    assert all(map(changed.fits, changed.parts))


def test_networks_without_blocks_have_their_convolutions_with_batch_norm(change: Change) -> None:
    chosen = {"width": {"stage1": 0.5}, "block": {"stage2": "separable"}}
    changed = change("vgg11_bn", chosen)
    # "separable" brings a batch norm: the old one has gone.
    assert changed.names == ["features.4 features.5", "features.8 features.9",
                             "features.11 features.12"]  # fmt: skip
    assert all(map(changed.fits, changed.parts))
    first, second, third = changed.parts
    assert first.reads is None
    assert first.writes is second.reads
    assert second.writes is third.reads is third.writes is None


def test_a_plan_that_changes_the_input_leaves_parts_alike(change: Change) -> None:
    chosen: dict[str, object] = {"block": {"stage2": "inverted"}}
    whole = change("resnet20", chosen)
    small = change("resnet20", chosen | {"resolution": {"input": 0.5}})
    assert small.names == whole.names
    for item, other in zip(small.parts, whole.parts, strict=True):
        assert shape_of(item.of(small.new)) == shape_of(other.of(whole.new))


PLANS: list[dict[str, object]] = [
    {"width": {"stage1": 0.5, "stage3": 0.75}},
    {"trunk": {"stage2": "thin"}},
    {"trunk": {"stage2": "thin"}, "width": {"stage2": 0.75}},
    {"width": {"stage2": 0.75}, "prune": {"stage2": 0.5, "stage1": 0.25}},
    {"trunk": {"stage3": "thin"}, "width": {"stage3": 0.75}, "prune": {"stage3": 0.5}},
]


@pytest.mark.parametrize("chosen", PLANS)
def test_the_channels_kept_are_those_whose_weights_remain(
    change: Change, chosen: dict[str, object]
) -> None:
    changed = change("resnet20", chosen)
    old, new, sizes = changed.old, changed.new, changed.blueprint.sizes
    reported = set()
    for conv in changed.blueprint.layers:
        if not isinstance(before := old.get_submodule(conv.name), nn.Conv2d):
            continue
        after = new.get_submodule(conv.name)
        assert isinstance(after, nn.Conv2d)
        reads, writes = changed.kept.get(conv.reads.group), changed.kept.get(conv.writes.group)
        expected = before.weight if writes is None else before.weight[writes]
        expected = expected if reads is None else expected[:, reads]
        assert torch.equal(after.weight, expected)
        reported |= {conv.writes.group}
    assert set(changed.kept) <= reported
    for group, numbers in changed.kept.items():
        assert 0 < len(numbers) < sizes[group]
        assert numbers.tolist() == sorted(set(numbers.tolist()))


def test_two_cuts_keep_the_numbers_that_channels_had_at_first(change: Change) -> None:
    chosen: dict[str, object] = {"width": {"stage2": 0.75}, "prune": {"stage2": 0.5}}
    both = change("resnet20", chosen)
    first = change("resnet20", chosen, phases=(Phase.STRUCTURE,))
    assert both.kept.keys() == first.kept.keys()
    for group, numbers in both.kept.items():
        assert set(numbers.tolist()) < set(first.kept[group].tolist())
        root = both.new.get_submodule(both.blueprint.roots[group])
        assert isinstance(root, nn.Conv2d)
        assert len(root.weight) == len(numbers)


class Joined(nn.Module):
    """Two convolutions side by side, and one that reads both."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.left = nn.Conv2d(8, 8, 3, padding=1)
        self.right = nn.Conv2d(8, 8, 3, padding=1, stride=1)
        self.last = nn.Conv2d(16, 8, 3, padding=1)
        self.linear = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).relu()
        x = torch.cat([self.right(x), self.left(x)], 1).relu()
        x = F.avg_pool2d(self.last(x).relu(), 2)
        out: torch.Tensor = self.linear(x.mean((2, 3)))
        return out


def test_channels_behind_a_concatenation_are_left_out() -> None:
    torch.manual_seed(0)
    network = Joined().eval()
    blueprint = trace_with_groups(network, torch.zeros(2, 3, 32, 32))
    stages = {group.stage for group in blueprint.groups.values()}
    changed = Changed(network, blueprint, {"prune": dict.fromkeys(stages, 0.5)})
    assert changed.names
    assert "last" not in changed.names
    last = changed.new.get_submodule("last")
    assert isinstance(last, nn.Conv2d)
    assert last.in_channels < 16  # it did lose channels
    assert all(map(changed.fits, changed.parts))


def test_dense_blocks_have_parts_that_fit_where_they_read_one_group(change: Change) -> None:
    changed = change("densenet121", {"width": {"stage1": 0.5}})
    assert "features.denseblock1.denselayer2.conv2" in changed.names
    assert not any("denselayer2.conv1" in name for name in changed.names)
    assert all(map(changed.fits, changed.parts))


@pytest.mark.parametrize("narrower", [{}, {"width": {"stage1": 0.5, "stage2": 0.5}}])
def test_a_stride_that_moves_forward_joins_two_parts(
    change: Change, narrower: dict[str, object]
) -> None:
    chosen = {"block": {"stage1": "inverted", "stage2": "inverted+early"}} | narrower
    changed = change("resnet20", chosen)
    alone = [part for part in changed.parts if not changed.fits(part)]
    before, behind = alone
    assert [before.modules, behind.modules] == [("layer1.2",), ("layer2.0",)]
    assert before.leads_to(behind)
    assert not behind.leads_to(before)
    joined = before.with_next(behind)
    assert joined.modules == ("layer1.2", "layer2.0")
    assert changed.fits(joined)


def test_networks_pruned_after_training_are_compared_with_that_before(change: Change) -> None:
    """As where blocks were replaced first: then their layers are parts of their own."""
    chosen: dict[str, object] = {"block": {"stage1": "inverted"}, "prune": {"stage1": 0.5}}
    structure = change("resnet20", chosen, phases=(Phase.STRUCTURE,))
    before, after = structure.new, copy.deepcopy(structure.new)
    context = ApplyContext(structure.images)
    plan = Plan.of(chosen)
    after = apply_phase(after, structure.blueprint, plan, Phase.PRUNE, context)
    predicted = trace_with_groups(before, structure.images)
    parts = find_parts(predicted, before, after, context.kept_channels)
    assert parts
    for part in parts:
        inputs, wanted = teacher_features(before, part, structure.images)
        assert shapes_match(part.of(after), inputs, wanted)
