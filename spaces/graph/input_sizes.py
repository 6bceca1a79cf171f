"""Blueprints of a network on smaller images, where its layers compute fewer pixels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from ...errors import ModelError
from ...lazy_imports import nn, torch
from .blueprint import Blueprint, Layer, Skipped
from .structure import NetworkStructure

SCALES = (0.875, 0.75, 0.625, 0.5)
"""The fractions of an image's side length that plans may choose, besides 1."""


def scaled_size(size: tuple[int, int], share: float) -> tuple[int, int]:
    """Compute height and width in pixels for a fraction of the side length."""
    return max(1, round(size[0] * share)), max(1, round(size[1] * share))


def analyse(network: nn.Module, images: torch.Tensor) -> Blueprint:
    """Trace the layers and the structure of a network, without channel groups.

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
            "counts",
            operation.module or "the network",
            f"{operation.op} outside of a convolution or linear layer is not counted",
        )
        for operation in structure.uncounted
    )
    return Blueprint(layers, skipped=tuple(uncounted), structure=structure)


def with_folds(layers: Iterable[Layer], normalised: Mapping[str, str]) -> tuple[Layer, ...]:
    """Set `normalises` of the batch norms that can be folded, from convolution -> batch norm."""
    convs = {norm: conv for conv, norm in normalised.items()}
    return tuple(
        layer.but(normalises=convs[layer.name]) if layer.name in convs else layer
        for layer in layers
    )


def _as_tried(smaller: NetworkStructure, whole: NetworkStructure) -> NetworkStructure:
    """Return the structure on smaller images, with the verified head of the full size."""
    if smaller.classifier_head is None or whole.classifier_head is None:
        return replace(smaller, classifier_head=None)
    return replace(
        smaller, classifier_head=replace(smaller.classifier_head, fixed=whole.classifier_head.fixed)
    )


def scaled(network: nn.Module, images: torch.Tensor, whole: Blueprint) -> Mapping[float, Blueprint]:
    """Trace the network on smaller images, for each scale at which the same layers run."""
    names = [layer.name for layer in whole.layers]
    blueprints = dict[float, Blueprint]()
    for share in SCALES:
        size = scaled_size((images.shape[2], images.shape[3]), share)
        try:
            smaller = analyse(network, images.new_zeros(*images.shape[:2], *size))
        except ModelError:  # a linear layer may need one size, or the image may become empty
            continue
        if [layer.name for layer in smaller.layers] == names:
            blueprints[share] = replace(
                smaller, structure=_as_tried(smaller.structure, whole.structure)
            )
    return MappingProxyType(blueprints)
