"""A network on smaller images: what changes is how many pixels its layers compute."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from ...errors import ModelError
from ...lazy_imports import nn, torch
from .blueprint import Blueprint, Layer, Skipped
from .structure import NetworkStructure

SCALES = (0.875, 0.75, 0.625, 0.5)
"""The shares of an image's side that plans may choose besides the whole."""


def scaled_size(size: tuple[int, int], share: float) -> tuple[int, int]:
    """Height and width in pixels of an image whose side is that share."""
    return max(1, round(size[0] * share)), max(1, round(size[1] * share))


def analyse(network: nn.Module, images: torch.Tensor) -> Blueprint:
    """The layers of a network and its landmarks, without channel groups.

    Raises:
        ModelError: as `trace`.
    """
    from .dataflow import watch
    from .structure_detection import find_normalised, find_structure
    from .tracing import trace

    plain = trace(network, images).layers
    flow = watch(network, images)
    layers, structure = with_folds(plain, find_normalised(flow)), find_structure(flow)
    uncounted = (
        Skipped(
            "counts", operation.module or "the network", f"no layer stands for its {operation.op}"
        )
        for operation in structure.uncounted
    )
    return Blueprint(layers, skipped=tuple(uncounted), structure=structure)


def with_folds(layers: Iterable[Layer], normalised: Mapping[str, str]) -> tuple[Layer, ...]:
    """Layers whose batch norms know which convolution they can be folded into."""
    convs = {norm: conv for conv, norm in normalised.items()}
    return tuple(
        layer.but(normalises=convs[layer.name]) if layer.name in convs else layer
        for layer in layers
    )


def _as_tried(smaller: NetworkStructure, whole: NetworkStructure) -> NetworkStructure:
    """Landmarks on smaller images, with what was found out about the tail on whole ones."""
    if smaller.classifier_head is None or whole.classifier_head is None:
        return replace(smaller, classifier_head=None)
    return replace(
        smaller, classifier_head=replace(smaller.classifier_head, fixed=whole.classifier_head.fixed)
    )


def scaled(network: nn.Module, images: torch.Tensor, whole: Blueprint) -> Mapping[float, Blueprint]:
    """The network on smaller images, for each scale on which the same layers run in that order."""
    names = [layer.name for layer in whole.layers]
    blueprints = dict[float, Blueprint]()
    for share in SCALES:
        size = scaled_size((images.shape[2], images.shape[3]), share)
        try:
            smaller = analyse(network, images.new_zeros(*images.shape[:2], *size))
        except ModelError:  # a linear layer may want one size, or nothing be left of the image
            continue
        if [layer.name for layer in smaller.layers] == names:
            blueprints[share] = replace(
                smaller, structure=_as_tried(smaller.structure, whole.structure)
            )
    return MappingProxyType(blueprints)
