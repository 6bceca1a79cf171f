"""Necks: layers between the last block and the head that widen the features of a thin trunk.

Sandler et al.: MobileNetV2 (2018), https://arxiv.org/abs/1801.04381, ends in a wide 1x1
convolution; Howard et al.: Searching for MobileNetV3 (2019), https://arxiv.org/abs/1905.02244,
section 5.1, removes the block before it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import ClassVar

from ...lazy_imports import nn, torch
from ..blocks.block_graph import BlockGraph
from ..blocks.insert import Insertion, insert_blocks, own_output
from ..blocks.inverted import Inverted
from ..blocks.parts import normalised, pointwise
from ..graph.blueprint import HEAD, Blueprint, Skipped
from ..graph.sites import BlockSpec, find_blocks
from ..graph.structure import Shortcut
from ..graph.submodules import replace_module
from ..technique import ApplyContext, Phase, TechniqueInfo, Value
from .bases import NamedTechnique
from .classifier_tail import feature_channels, put_before, usable_head, why_no_head

_NECK = "neck"
_FEATURES = "+features"


class Neck(NamedTechnique):
    """Inserts layers between the last block and the pooling.

    "conv" and "inverted" widen to the last stage's hidden width, which becomes the input width of
    the first linear layer; "+features" adds a 1x1 convolution back to the original input width.
    """

    name = "neck"
    title = "layers that widen the features before pooling"
    phase = Phase.STRUCTURE
    neutral_title = "no neck"
    titles: ClassVar[Mapping[str, str]] = {
        "conv": "1x1 conv to the hidden width",
        "inverted": "inverted bottleneck to the hidden width",
        "conv+features": "1x1 conv to the hidden width, 1x1 conv back",
        "inverted+features": "inverted bottleneck to the hidden width, 1x1 conv back",
    }
    info = TechniqueInfo(
        name="",
        title="",
        replaces="nothing",
        saves="costs 2 % of ResNet-101",
        paper="MobileNetV3, Howard et al. 2019",
        link="https://arxiv.org/abs/1905.02244",
    )

    def places(self, blueprint: Blueprint, value: Value) -> Sequence[str]:
        return () if value == self.neutral or _why_not(blueprint) else (HEAD,)

    def predict_graph(self, blueprint: Blueprint, chosen: Mapping[str, Value]) -> Blueprint:
        if HEAD not in chosen:
            return blueprint
        head, value = usable_head(blueprint), str(chosen[HEAD])
        pool, first = head.pools[-1], head.linears[0]
        channels, widths = feature_channels(blueprint, head), _widths(blueprint, value)
        name, size = f"{pool}.{_NECK}", head.size
        part = _block_graph(value, channels.count(blueprint.sizes), widths, size)
        wide = own_output(name, part)
        whole = insert_blocks(
            blueprint, [Insertion(name, part, channels, wide, HEAD, before=first)]
        )
        layers = (layer.but(reads=wide) if layer.name == first else layer for layer in whole.layers)
        behind = replace(head, pools=(*head.pools[:-1], f"{pool}.pool"))
        return replace(
            whole.with_layers(layers), structure=replace(whole.structure, classifier_head=behind)
        )

    def apply(
        self,
        network: nn.Module,
        blueprint: Blueprint,
        chosen: Mapping[str, Value],
        context: ApplyContext,
    ) -> nn.Module:
        if HEAD not in chosen:
            return network
        head, value = usable_head(blueprint), str(chosen[HEAD])
        channels = feature_channels(blueprint, head).count(blueprint.sizes)
        widths = _widths(blueprint, value)
        first = network.get_submodule(head.linears[0])
        if not isinstance(first, nn.Linear):
            raise TypeError(f"expected a linear layer, got {type(first).__name__}")
        with torch.device(first.weight.device):
            neck = _build(value, channels, widths, head.size)
            if first.in_features != widths[-1]:
                bias = first.bias is not None
                fresh = nn.Linear(widths[-1], first.out_features, bias=bias)
                replace_module(network, head.linears[0], fresh)
        put_before(network, head.pools[-1], OrderedDict(neck=neck))
        return network

    def skipped(self, blueprint: Blueprint, options: Sequence[Value]) -> Iterator[Skipped]:
        if reason := _why_not(blueprint):
            yield Skipped(self.name, HEAD, reason)


def _why_not(blueprint: Blueprint) -> str:
    if reason := why_no_head(blueprint):
        return reason
    if not find_blocks(blueprint):
        return "no residual block from which to take the hidden width"
    head = usable_head(blueprint)
    return "" if head.pixels == 1 else "the first linear layer reads several pixels per channel"


def _widths(blueprint: Blueprint, value: str) -> tuple[int, ...]:
    """Return the widths of a neck's layers; the last is the input width of the head."""
    hidden = find_blocks(blueprint)[-1].hidden.count(blueprint.sizes)
    if not value.endswith(_FEATURES):
        return (hidden,)
    features = feature_channels(blueprint, usable_head(blueprint))
    return (hidden, features.count(blueprint.sizes))


def _build(
    value: str, channels: int, widths: tuple[int, ...], size: tuple[int, int]
) -> nn.Sequential:
    parts = OrderedDict[str, nn.Module]()
    hidden = widths[0]
    if value.startswith("inverted"):
        shortcut = Shortcut.PROJECTION
        parts["widen"] = Inverted().build(
            BlockSpec(channels, hidden, hidden, (1, 1), size, shortcut)
        )
    else:
        parts["widen"] = normalised(pointwise(channels, hidden), nn.ReLU6)
    if len(widths) > 1:
        parts["features"] = normalised(pointwise(hidden, widths[-1]), nn.ReLU6)
    return nn.Sequential(parts)


@lru_cache(maxsize=1024)
def _block_graph(
    value: str, channels: int, widths: tuple[int, ...], size: tuple[int, int]
) -> BlockGraph:
    from ..blocks.block_tracing import take_apart

    return take_apart(lambda: _build(value, channels, widths, size), channels, widths[-1], size)
