"""New parts in a blueprint: what becomes of the channel groups that they join, split or stop."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from paredown.spaces.apply import predict_graph
from paredown.spaces.blocks.block_tracing import take_apart
from paredown.spaces.blocks.insert import Insertion, insert_blocks
from paredown.spaces.graph.blueprint import Blueprint, Channels
from paredown.spaces.plan import Plan
from paredown.spaces.pruning.trace_groups import trace_with_groups
from paredown.spaces.technique import Phase
from torch import nn

SIZE = (8, 8)


def plain(blueprint: Blueprint) -> dict[str, tuple[int, int]]:
    """What each layer reads and writes."""
    sizes = blueprint.sizes
    return {
        layer.name: (layer.reads.count(sizes), layer.writes.count(sizes))
        for layer in blueprint.layers
    }


def chain(*widths: int) -> Blueprint:
    """3x3 convolutions "0", "1"... in a row, and a linear layer to 5 classes."""
    ends = zip((3, *widths), widths, strict=False)
    convs = [nn.Conv2d(into, out, 3, padding=1) for into, out in ends]
    tail = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 5))
    network = nn.Sequential(*convs, *tail).to("meta")
    return trace_with_groups(network, torch.zeros(2, 3, *SIZE, device="meta"))


def put(
    blueprint: Blueprint, name: str, make: Callable[[int, int], nn.Module], cuttable: bool = True
) -> Insertion:
    """A part in the place of a layer."""
    layer, sizes = blueprint.layer(name), blueprint.sizes
    into, out = layer.reads.count(sizes), layer.writes.count(sizes)
    part = take_apart(lambda: make(into, out), into, out, SIZE, cuttable=cuttable)
    return Insertion(name, part, layer.reads, layer.writes, layer.stage, frozenset({name}))


class Tied(nn.Module):
    """Its input comes through to its output."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(into, out, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.conv(x) + x
        return out


class Beside(nn.Module):
    """Two halves side by side."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__()
        self.left = nn.Conv2d(into, out // 2, 1)
        self.right = nn.Conv2d(into, out - out // 2, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.left(x), self.right(x)], 1)


def bottleneck(into: int, out: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(into, 4, 1), nn.Conv2d(4, out, 3, padding=1))


def test_no_part_changes_nothing() -> None:
    blueprint = chain(8, 8)
    assert insert_blocks(blueprint, []) is blueprint


def test_a_part_brings_its_layers_and_its_own_groups() -> None:
    blueprint = chain(8, 8, 6)
    whole = insert_blocks(blueprint, [put(blueprint, "1", bottleneck)])
    assert [layer.name for layer in whole.layers] == ["0", "1.0", "1.1", "2", "5"]
    assert plain(whole)["1.0"] == (8, 4)
    assert plain(whole)["1.1"] == (4, 8)
    assert whole.sizes == {"0": 8, "1.0": 4, "1": 8, "2": 6}
    assert whole.layer("1.0").stage == blueprint.layer("1").stage


def test_a_part_around_an_identity_makes_one_group_of_two() -> None:
    blueprint = chain(8, 8, 6)
    assert set(blueprint.groups) == {"0", "1", "2"}
    whole = insert_blocks(blueprint, [put(blueprint, "1", Tied)])
    assert whole.sizes == {"0": 8, "2": 6}
    assert whole.layer("1.conv").reads == whole.layer("1.conv").writes == Channels(0, (("0", 1),))
    assert plain(whole.resized({"0": 5}))["2"] == (5, 6)


def test_parts_in_a_row_make_one_group_of_all() -> None:
    blueprint = chain(8, 8, 8, 8)
    for order in ([1, 2, 3], [3, 2, 1], [2, 1, 3], [1, 3, 2]):
        whole = insert_blocks(blueprint, [put(blueprint, str(number), Tied) for number in order])
        assert len(whole.groups) == 1, order
        (group,) = whole.groups
        assert set(plain(whole.resized({group: 3})).values()) == {(3, 3), (3, 5)}


def test_a_part_that_writes_side_by_side_splits_what_it_writes() -> None:
    blueprint = chain(8, 10, 6)
    whole = insert_blocks(blueprint, [put(blueprint, "1", Beside)])
    assert whole.sizes == {"0": 8, "1.left": 5, "1.right": 5, "2": 6}
    assert whole.layer("2").reads == Channels(0, (("1.left", 1), ("1.right", 1)))
    assert plain(whole.resized({"1.left": 2}))["2"] == (7, 6)


def test_a_group_that_others_write_too_is_not_split_but_fixed() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(3, 8, 3, padding=1)
            self.last = nn.Conv2d(8, 5, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.last(self.one(x) + self.two(x))
            return out.mean((2, 3))

    images = torch.zeros(2, 3, *SIZE, device="meta")
    blueprint = trace_with_groups(Sum().to("meta"), images)
    assert set(blueprint.groups) == {"one"}
    item = insert_blocks(blueprint, [put(blueprint, "one", Beside)])
    assert item.groups == {}
    assert plain(item) == {"one.left": (3, 4), "one.right": (3, 4), "two": (3, 8), "last": (8, 5)}
    both = insert_blocks(blueprint, [put(blueprint, "one", Beside), put(blueprint, "two", Beside)])
    assert plain(both)["last"] == (8, 5)


def test_what_a_part_cannot_follow_is_fixed_and_the_rest_is_not() -> None:
    blueprint = chain(8, 8, 6, 4)
    whole = insert_blocks(blueprint, [put(blueprint, "1", bottleneck, cuttable=False)])
    assert whole.sizes == {"2": 6, "3": 4}
    assert plain(whole) == plain(insert_blocks(blueprint, [put(blueprint, "1", bottleneck)]))


def test_a_tie_to_what_is_fixed_fixes_the_other_end() -> None:
    blueprint = chain(8, 8, 8, 4)
    parts = [put(blueprint, "1", Tied), put(blueprint, "2", bottleneck, cuttable=False)]
    for order in (parts, parts[::-1]):
        whole = insert_blocks(blueprint, order)
        assert whole.sizes == {"3": 4}
    # Images have three channels, which nothing can cut.
    assert insert_blocks(chain(3, 3, 4), [put(chain(3, 3, 4), "0", Tied)]).sizes == {"1": 3, "2": 4}


def test_tied_halves_are_those_of_the_group_they_join() -> None:
    blueprint = chain(8, 8, 8)
    whole = insert_blocks(blueprint, [put(blueprint, "1", Beside), put(blueprint, "2", Tied)])
    assert whole.sizes == {"0": 8, "1.left": 4, "1.right": 4} or whole.sizes == {"0": 8}
    assert plain(whole)["2.conv"] == (8, 8)


def test_a_part_before_a_layer_takes_nobodys_place() -> None:
    blueprint = chain(8, 6)
    part = take_apart(lambda: bottleneck(6, 6), 6, 6, SIZE)
    reads = blueprint.layer("1").writes
    whole = insert_blocks(blueprint, [Insertion("neck", part, reads, reads, "head", before="4")])
    assert [layer.name for layer in whole.layers] == ["0", "1", "neck.0", "neck.1", "4"]
    assert whole.layer("neck.0").stage == "head"


FAMILIES: Mapping[str, tuple[str, ...]] = {
    "resnet18": ("fire", "fire+shuffle", "ghost-bottleneck", "shuffle-bottleneck", "inverted"),
    "squeezenet1_1": ("fire", "dice", "conv+residual"),
}


@pytest.mark.parametrize(
    ("name", "family"), [(name, family) for name in FAMILIES for family in FAMILIES[name]]
)
def test_what_is_still_a_group_can_be_cut(
    name: str,
    family: str,
    traced: Callable[..., Any],
    assert_as_predicted: Callable[..., nn.Module],
) -> None:
    network, images, blueprint = traced(name, 64)
    blocks = {"stage2": family, "stage3": family}
    whole = predict_graph(blueprint, Plan.of({"block": blocks}))
    cut = dict.fromkeys(blueprint.stages, 0.5)
    plan = Plan.of({"block": blocks, "prune": cut})
    after = predict_graph(blueprint, plan, Phase.PRUNE)
    assert set(after.groups) == set(whole.groups)
    assert all(after.sizes[group] < size for group, size in whole.sizes.items() if size > 1)
    assert_as_predicted(network, images, blueprint, plan)
