"""Replacement of convolutions and residual blocks by a block family, per stage or per site."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise

from ...errors import PlanError
from ...lazy_imports import nn, torch
from ...own_code import own_code_digest
from ..blocks.additions import ADDITIONS
from ..blocks.families import FAMILIES, BlockFamily, ResidualFamily, block_graph, find_family
from ..blocks.insert import Insertion, insert_blocks
from ..graph.blueprint import Blueprint, Skipped
from ..graph.sites import (
    BlockSite,
    ConvSite,
    Site,
    find_blocks,
    find_sites,
    refused_blocks,
    refused_convolutions,
)
from ..graph.structure import Shortcut
from ..graph.submodules import replace_module, take_out
from ..technique import ApplyContext, Phase, Technique, TechniqueInfo, Value

ORIGINAL = "original"


class Blocks(Technique):
    """Replaces the sites of a stage by blocks of one family; "original" replaces nothing.

    A place is a stage or the name of a site, whose choice overrides that of its stage.
    """

    name = "block"
    title = "replacement for the convolutions or residual blocks of a stage"
    phase = Phase.STRUCTURE
    neutral = ORIGINAL
    has_sites = True

    def default_options(self) -> tuple[Value, ...]:
        return (ORIGINAL, *(family.name for family in FAMILIES if family.by_default))

    def infos(self) -> Iterable[TechniqueInfo]:
        yield TechniqueInfo(ORIGINAL, "no replacement", "nothing", "nothing")
        yield from (family.info for family in FAMILIES)
        for addition in ADDITIONS:
            yield replace(addition, name=f"...+{addition.name}")

    def parse(self, value: object) -> Value:
        if not isinstance(value, str):
            raise PlanError(f"expected the name of a block family, got {value!r}")
        return value if value == ORIGINAL else find_family(value).name

    def code(self, value: Value) -> str:
        return "" if value == ORIGINAL else own_code_digest(type(find_family(str(value))))

    def places(self, blueprint: Blueprint, value: Value) -> Sequence[str]:
        fitting = _fitting(blueprint, value)
        return tuple(dict.fromkeys(site.stage for site in fitting))

    def sites(self, blueprint: Blueprint, value: Value) -> Sequence[str]:
        return tuple(site.name for site in _fitting(blueprint, value))

    def predict_graph(self, blueprint: Blueprint, chosen: Mapping[str, Value]) -> Blueprint:
        edits = _edits(blueprint, chosen)
        changed = insert_blocks(blueprint, [edit.insertion(blueprint) for edit in edits])
        replaced = {edit.site.name for edit in edits}
        blocks = tuple(b for b in changed.structure.blocks if b.name not in replaced)
        return replace(changed, structure=replace(changed.structure, blocks=blocks))

    def apply(
        self,
        network: nn.Module,
        blueprint: Blueprint,
        chosen: Mapping[str, Value],
        context: ApplyContext,
    ) -> nn.Module:
        for edit in _edits(blueprint, chosen):
            replace_module(network, edit.site.name, edit.build(network, blueprint))
            if edit.norm:
                take_out(network, edit.norm)
        return network

    def skipped(self, blueprint: Blueprint, options: Sequence[Value]) -> Iterator[Skipped]:
        yield from refused_convolutions(blueprint)
        yield from refused_blocks(blueprint)
        families = [find_family(str(option)) for option in options if option != ORIGINAL]
        for site in _sites(blueprint):
            spec = site.spec(blueprint.sizes)
            refusals = {f.name: f.why_not(spec) for f in families if f.takes(spec)}
            if refusals and all(refusals.values()):
                reasons = (f"{name}: {reason}" for name, reason in refusals.items())
                yield Skipped(self.name, site.name, "; ".join(reasons))
        whole = [family.name for family in families if isinstance(family, ResidualFamily)]
        if whole and not blueprint.structure.blocks:
            reason = f"no residual blocks for {', '.join(whole)}"
            yield Skipped(self.name, "the network", reason)


@dataclass(frozen=True)
class _Edit:
    """A site and the family that replaces it."""

    site: Site
    family: BlockFamily

    @property
    def norm(self) -> str:
        """The batch norm that is removed with the site; empty if none is."""
        return self.site.norm if isinstance(self.site, ConvSite) and self.family.normalises else ""

    def insertion(self, blueprint: Blueprint) -> Insertion:
        site = self.site
        whole = isinstance(site, BlockSite)
        removes = blueprint.under(site.name) if whole else {site.name, self.norm} - {""}
        return Insertion(
            name=site.name,
            graph=block_graph(self.family.name, site.spec(blueprint.sizes)),
            reads=site.reads,
            writes=site.writes,
            stage=site.stage,
            removes=frozenset(removes),
        )

    def build(self, network: nn.Module, blueprint: Blueprint) -> nn.Module:
        """Build the block on the network's device, initialised from the module it replaces."""
        original = network.get_submodule(self.site.name)
        numbers = next(original.parameters())
        with torch.device(numbers.device), _own_numbers(self.site.name):
            spec = self.site.spec(blueprint.sizes)
            return self.family.block(spec, None if numbers.is_meta else original)


@contextmanager
def _own_numbers(name: str) -> Iterator[None]:
    """Seed torch from the current seed and a name, independent of earlier random numbers."""
    with torch.random.fork_rng():
        torch.manual_seed((torch.initial_seed() + zlib.crc32(name.encode())) % 2**63)
        yield


@dataclass(frozen=True)
class _BlockEdit(_Edit):
    """A residual block and the family that replaces it."""

    site: BlockSite
    family: ResidualFamily


def _edits(blueprint: Blueprint, chosen: Mapping[str, Value]) -> list[_Edit]:
    """List all replacements: residual blocks, then convolutions outside of these."""
    sizes, blocks = blueprint.sizes, find_blocks(blueprint)
    whole = [
        _BlockEdit(site, family)
        for site in blocks
        if isinstance(family := _family(site, chosen, sizes), ResidualFamily)
    ]
    whole = _rechained(blocks, whole, sizes)
    inside = tuple(f"{edit.site.name}." for edit in whole)
    single = [
        _Edit(site, family)
        for site in find_sites(blueprint)
        if not site.name.startswith(inside) and (family := _family(site, chosen, sizes))
    ]
    return [*whole, *single]


def _family(
    site: Site, chosen: Mapping[str, Value], sizes: Mapping[str, int]
) -> BlockFamily | None:
    """Return the family chosen for a site; None if none is chosen or it cannot act there."""
    value = chosen.get(site.name, chosen.get(site.stage, ORIGINAL))
    if value == ORIGINAL:
        return None
    family = find_family(str(value))
    return None if family.why_not(site.spec(sizes)) else family


def _rechained(
    blocks: Sequence[BlockSite], edits: Iterable[_BlockEdit], sizes: Mapping[str, int]
) -> list[_BlockEdit]:
    """Apply "narrow" and "early" to strided blocks; "early" needs the block before replaced too."""
    changed = {edit.site.name: edit for edit in edits}
    for before, site in _strided(blocks):
        edit, prior = changed.get(site.name), changed.get(before.name)
        if edit is None:
            continue
        if edit.family.is_narrow:
            changed[site.name] = replace(edit, site=replace(edit.site, hidden=before.hidden))
        if edit.family.is_early and prior is not None and before.stride == (1, 1):
            pair = _swapped(prior, edit)
            if not any(item.family.why_not(item.site.spec(sizes)) for item in pair):
                changed[before.name], changed[site.name] = pair
    return list(changed.values())


def _swapped(before: _BlockEdit, strided: _BlockEdit) -> tuple[_BlockEdit, _BlockEdit]:
    """Move the stride and the change of width to the block before."""
    early = replace(
        before.site,
        writes=strided.site.writes,
        stride=strided.site.stride,
        shortcut=strided.site.shortcut,
    )
    late = replace(
        strided.site,
        reads=strided.site.writes,
        stride=(1, 1),
        input_size=strided.site.output_size,
        shortcut=Shortcut.IDENTITY,
    )
    return replace(before, site=early), replace(strided, site=late)


def _fitting(blueprint: Blueprint, value: Value) -> list[Site]:
    """Return the sites where a family, with its additions, changes something."""
    if value == ORIGINAL:
        return []
    family, sizes = find_family(str(value)), blueprint.sizes
    sites = _sites(blueprint)
    if isinstance(family, ResidualFamily) and (family.is_narrow or family.is_early):
        sites = [site for _, site in _strided(find_blocks(blueprint))]
    return [site for site in sites if not family.why_not(site.spec(sizes))]


def _strided(blocks: Sequence[BlockSite]) -> Iterator[tuple[BlockSite, BlockSite]]:
    """Yield pairs of a block and a strided block that directly follows it."""
    for before, site in pairwise(blocks):
        if site.stride != (1, 1) and before.writes == site.reads:
            yield before, site


def _sites(blueprint: Blueprint) -> list[Site]:
    return [*find_blocks(blueprint), *find_sites(blueprint)]
