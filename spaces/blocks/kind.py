"""The choice of a block family, per stage."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import torch
from torch import nn

from ...errors import PlanError
from ..blueprint import Blueprint, Channels, Group, Layer, LeftAlone
from ..kind import Kind, Phase, Surroundings, Value
from ..replacing import replace_module
from ..sites import Site, find_sites, refused_convolutions
from ..technique import Technique
from .family import FAMILIES, Piece, convolution, join, piece

ORIGINAL = "original"


class Blocks(Kind):
    """Replaces the sites of a stage by blocks of one family; "original" leaves them."""

    name = "block"
    title = "what stands in for the convolutions of a stage"
    phase = Phase.STRUCTURE
    neutral = ORIGINAL

    def default_options(self) -> tuple[Value, ...]:
        return (ORIGINAL, *FAMILIES.names)

    def techniques(self) -> Iterable[Technique]:
        yield Technique(ORIGINAL, "the conv as it is", "nothing", "nothing")
        yield from (family.technique for family in FAMILIES)

    def parse(self, value: object) -> Value:
        if not isinstance(value, str):
            raise PlanError(f"expected the name of a block family, got {value!r}")
        return value if value == ORIGINAL else FAMILIES.get(value).name

    def places(self, blueprint: Blueprint, value: Value) -> Sequence[str]:
        fitting = _fitting(find_sites(blueprint), value, blueprint.sizes)
        return tuple(dict.fromkeys(site.stage for site in fitting))

    def foretell(self, blueprint: Blueprint, chosen: Mapping[str, Value]) -> Blueprint:
        layers: dict[str, tuple[Layer, ...]] = {layer.name: (layer,) for layer in blueprint.layers}
        groups, stuck = dict(blueprint.groups), set[str]()
        for site, family in _replaced(blueprint, chosen):
            part = piece(family, site.spec(blueprint.sizes))
            layers[site.name] = tuple(_joined(part, site))
            groups.update((g.name, g) for g in _inner_groups(part, site))
            stuck.update(() if part.reads else site.layer.reads.groups)
            stuck.update(() if part.writes else site.layer.writes.groups)
        flat = tuple(layer for row in layers.values() for layer in row)
        return replace(blueprint, layers=flat, groups=MappingProxyType(groups)).frozen(stuck)

    def apply(
        self,
        network: nn.Module,
        blueprint: Blueprint,
        chosen: Mapping[str, Value],
        around: Surroundings,
    ) -> nn.Module:
        for site, family in _replaced(blueprint, chosen):
            original = convolution(network, site.name)
            with torch.device(original.weight.device):
                block = FAMILIES.get(family).build(site.spec(blueprint.sizes))
            if not original.weight.is_meta:
                FAMILIES.get(family).inherit(block, original)
            replace_module(network, site.name, block.train(network.training))
        return network

    def left_alone(self, blueprint: Blueprint, options: Sequence[Value]) -> Iterator[LeftAlone]:
        yield from refused_convolutions(blueprint)
        families = [str(option) for option in options if option != ORIGINAL]
        for site in find_sites(blueprint):
            reasons = [FAMILIES.get(name).refuses(site.spec(blueprint.sizes)) for name in families]
            if families and all(reasons):
                yield LeftAlone(self.name, site.name, "; ".join(dict.fromkeys(reasons)))


def _replaced(blueprint: Blueprint, chosen: Mapping[str, Value]) -> Iterator[tuple[Site, str]]:
    for site in find_sites(blueprint):
        family = str(chosen.get(site.stage, ORIGINAL))
        if _fitting([site], family, blueprint.sizes):
            yield site, family


def _fitting(sites: Iterable[Site], family: Value, sizes: dict[str, int]) -> list[Site]:
    if family == ORIGINAL:
        return []
    return [site for site in sites if not FAMILIES.get(str(family)).refuses(site.spec(sizes))]


def _joined(part: Piece, site: Site) -> Iterator[Layer]:
    """The block's layers as layers of the network."""
    meanings = {part.reads: site.layer.reads, part.writes: site.layer.writes}
    for group in part.inner:
        meanings[group.name] = Channels(shares=((_inner_name(group, site), 1),))
    for layer in part.layers:
        yield replace(
            layer,
            name=join(site.name, layer.name),
            stage=site.stage,
            reads=layer.reads.substitute(meanings),
            writes=layer.writes.substitute(meanings),
            weight_bits=site.layer.weight_bits,
            activation_bits=site.layer.activation_bits,
        )


def _inner_groups(part: Piece, site: Site) -> Iterator[Group]:
    for group in part.inner:
        yield Group(_inner_name(group, site), group.size, site.stage)


def _inner_name(group: Group, site: Site) -> str:
    return join(site.name, group.name.removeprefix("block").removeprefix("."))
