"""What was found out about a block at one width holds at others: the same as looking again."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from paredown.spaces.blocks import find_family, variants
from paredown.spaces.blocks.block_graph import BlockGraph
from paredown.spaces.blocks.block_tracing import take_apart
from paredown.spaces.blocks.families import block_graph, clear_block_graphs
from paredown.spaces.blocks.rescale import resized
from paredown.spaces.graph.blueprint import Geometry, Layer
from paredown.spaces.graph.sites import BlockSpec, ConvSpec, Spec
from paredown.spaces.graph.structure import Shortcut

SQUARE = Geometry((3, 3), (1, 1), (1, 1), (1, 1), (8, 8))
CONV = ConvSpec(32, 64, SQUARE, bias=True, normalised=True, mixed=True)
BLOCK = BlockSpec(64, 96, 32, (2, 2), (8, 8), Shortcut.PROJECTION)
SAME_CONV = replace(CONV, in_channels=64)
SAME_BLOCK = replace(BLOCK, out_channels=64, stride=(1, 1), shortcut=Shortcut.IDENTITY)


@pytest.fixture(autouse=True)
def _forgetful() -> Iterator[None]:
    clear_block_graphs()
    yield
    clear_block_graphs()


def pairs(family: str) -> list[tuple[Spec, Spec]]:
    """Specs of one sort at two widths."""
    if find_family(family).takes(CONV):
        return [
            (CONV, replace(CONV, in_channels=160, out_channels=192)),
            (SAME_CONV, replace(SAME_CONV, in_channels=128, out_channels=128)),
        ]
    return [
        (BLOCK, replace(BLOCK, in_channels=160, out_channels=192, hidden=80)),
        (SAME_BLOCK, replace(SAME_BLOCK, in_channels=128, out_channels=128, hidden=48)),
    ]


def looked_at(family: str, spec: Spec) -> BlockGraph:
    block_family = find_family(family)
    into, out = spec.in_channels, spec.out_channels
    return take_apart(
        lambda: block_family.block(spec), into, out, (8, 8), cuttable=block_family.cuttable
    )


def unstaged(item: BlockGraph) -> list[Layer]:
    """Its layers, but for their stage: that is told by the site, and not by the part."""
    return [layer.but(stage="") for layer in item.layers]


@pytest.mark.parametrize("family", list(variants()))
def test_a_piece_at_another_width_is_what_looking_at_it_finds(family: str) -> None:
    for item, other in pairs(family):
        if find_family(family).why_not(item) or find_family(family).why_not(other):
            continue
        with torch.device("meta"):
            block = find_family(family).block(other)
        again = resized(block_graph(family, item), block, other.in_channels, other.out_channels)
        wanted = looked_at(family, other)
        assert again is not None, "the two are alike"
        assert unstaged(again) == unstaged(wanted)
        assert (again.reads, again.writes) == (wanted.reads, wanted.writes)
        assert [(g.name, g.size) for g in again.inner] == [(g.name, g.size) for g in wanted.inner]
        assert unstaged(block_graph(family, other)) == unstaged(wanted)


def test_another_structure_is_no_likeness() -> None:
    with torch.device("meta"):
        ghost = find_family("ghost").block(CONV)
    assert resized(block_graph("separable", CONV), ghost, 32, 64) is None
    with torch.device("meta"):
        strided = find_family("separable").block(
            replace(CONV, geometry=replace(SQUARE, stride=(2, 2)))
        )
    assert resized(block_graph("separable", CONV), strided, 32, 64) is None


def test_taking_apart_draws_no_random_numbers() -> None:
    """Else what is drawn after it would depend on which costs were asked before."""
    before = torch.get_rng_state()
    for family in variants():
        for item, other in pairs(family):
            for spec in (item, other):
                if not find_family(family).why_not(spec):
                    looked_at(family, spec)
                    block_graph(family, spec)
    assert torch.equal(torch.get_rng_state(), before)
