"""Layers that the user has frozen with `keep`."""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from types import MappingProxyType

from ...errors import UnknownName
from .blueprint import Blueprint, Layer, Skipped
from .structure import NetworkStructure
from .submodules import holders

FROZEN_BY_KEEP = "frozen by --keep"


def keep(blueprint: Blueprint, globs: Sequence[str]) -> Blueprint:
    """Freeze layers, so that no technique changes their channels, blocks or bits.

    Args:
        blueprint: the network.
        globs: patterns of layers, of modules that contain them, or of stages: "fc", "layer4.*",
            "head".

    Raises:
        UnknownName: a pattern that matches nothing.
    """
    chosen = dict[str, None]()
    for glob in globs:
        matching = [layer.name for layer in blueprint.layers if _matches(layer, glob)]
        if not matching:
            raise UnknownName("layer to keep", glob, _names(blueprint.layers))
        chosen |= dict.fromkeys(matching)
    if not chosen:
        return blueprint
    layers = [layer.but(is_frozen=layer.name in chosen) for layer in blueprint.layers]
    fixed = dict.fromkeys(group for layer in layers if layer.is_frozen for group in layer.touches)
    reported = (
        Skipped("channels", group, f"{FROZEN_BY_KEEP}, or tied to a frozen layer")
        for group in fixed
    )
    frozen = replace(
        blueprint,
        layers=tuple(layers),
        skipped=(*blueprint.skipped, *reported),
        structure=_parted(blueprint.structure, chosen),
        scaled=MappingProxyType(
            {
                share: replace(part, structure=_parted(part.structure, chosen))
                for share, part in blueprint.scaled.items()
            }
        ),
    )
    return frozen.frozen(fixed)


def _parted(structure: NetworkStructure, frozen_names: Container[str]) -> NetworkStructure:
    """Detach frozen batch norms from their convolutions, whose replacement would remove them."""
    going = {conv: norm for conv, norm in structure.normalised.items() if norm not in frozen_names}
    return replace(structure, normalised=MappingProxyType(going))


def _matches(layer: Layer, glob: str) -> bool:
    return any(fnmatchcase(name, glob) for name in _aliases(layer))


def _aliases(layer: Layer) -> Iterator[str]:
    """Yield the names of a layer, of the modules that contain it, and of its stage."""
    yield from holders(layer.name)
    yield layer.stage


def _names(layers: Iterable[Layer]) -> list[str]:
    return list(dict.fromkeys(name for layer in layers for name in _aliases(layer)))
