"""Classifier heads: how class scores are computed from the last feature map.

Lin et al.: Network in Network (2014), https://arxiv.org/abs/1312.4400: global average pooling in
place of fully connected layers, after a 1x1 convolution to the classes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import ClassVar

from ...lazy_imports import nn, torch
from ..blocks.block_graph import BlockGraph
from ..blocks.insert import Insertion, insert_blocks
from ..graph.blueprint import HEAD, Blueprint, Channels, Layer, Op, Skipped
from ..graph.structure import ClassifierHead
from ..graph.submodules import replace_module, take_out
from ..technique import ApplyContext, Phase, TechniqueInfo, Value
from .bases import NamedTechnique
from .classifier_tail import feature_channels, put_before, usable_head, why_no_head


class Head(NamedTechnique):
    """Replaces the layers behind the last feature map.

    "gap" is global average pooling and one linear layer. "conv" is a 1x1 convolution to the
    classes, with a bias if the network's last convolution has one, and pooling of its output.
    """

    name = "head"
    title = "classifier head behind the last feature map"
    phase = Phase.STRUCTURE
    neutral_title = "no replacement"
    titles: ClassVar[Mapping[str, str]] = {
        "gap": "global average pooling, one linear layer",
        "gap+nobias": "global average pooling, one linear layer without bias",
        "conv": "1x1 conv to the classes, ReLU, pooling",
        "conv+bn": "1x1 conv, batch norm, ReLU, pooling",
        "conv+relu6": "1x1 conv, ReLU6, pooling",
        "conv+bn+relu6": "1x1 conv, batch norm, ReLU6, pooling",
    }
    info = TechniqueInfo(
        name="",
        title="",
        replaces="pooling and linear layers",
        saves="2x of VGG-19's params",
        paper="Network in Network, Lin et al. 2014",
        link="https://arxiv.org/abs/1312.4400",
    )

    def default_options(self) -> tuple[Value, ...]:
        return ("original", "gap", "conv+bn")

    def places(self, blueprint: Blueprint, value: Value) -> Sequence[str]:
        return () if value == self.neutral or _why_not(blueprint, str(value)) else (HEAD,)

    def predict_graph(self, blueprint: Blueprint, chosen: Mapping[str, Value]) -> Blueprint:
        if HEAD not in chosen:
            return blueprint
        head, value = usable_head(blueprint), str(chosen[HEAD])
        channels, classes = feature_channels(blueprint, head), _classes(blueprint, head)
        first, gone = head.linears[0], frozenset((*head.linears, *head.company))
        if value.startswith("gap"):
            bias = not value.endswith("+nobias")
            linear = Layer(
                first, Op.LINEAR, channels, Channels(classes), HEAD, positions=1, bias=bias
            )
            layers = (
                linear if layer.name == first else layer
                for layer in blueprint.layers
                if layer.name == first or layer.name not in gone
            )
            return _without_head(blueprint.with_layers(layers))
        into = channels.count(blueprint.sizes)
        part = _block_graph(value, into, classes, _biased(blueprint), head.size)
        removed = frozenset(layer.name for layer in blueprint.layers) & gone
        insertion = Insertion(head.pools[-1], part, channels, Channels(classes), HEAD, removed)
        return _without_head(insert_blocks(blueprint, [insertion]))

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
        into = feature_channels(blueprint, head).count(blueprint.sizes)
        classes, device = _classes(blueprint, head), next(network.parameters()).device
        for name in (*head.pools[:-1], *head.company, *head.linears):
            take_out(network, name)
        replace_module(network, head.pools[-1], nn.AdaptiveAvgPool2d(1))
        with torch.device(device):
            if value.startswith("gap"):
                linear = nn.Linear(into, classes, bias=not value.endswith("+nobias"))
                replace_module(network, head.linears[0], linear)
            else:
                put_before(
                    network, head.pools[-1], _scores(value, into, classes, _biased(blueprint))
                )
        return network

    def skipped(self, blueprint: Blueprint, options: Sequence[Value]) -> Iterator[Skipped]:
        refused = dict[str, list[str]]()
        for value in options:
            if value != self.neutral and (reason := _why_not(blueprint, str(value))):
                refused.setdefault(reason, []).append(str(value))
        for reason, names in refused.items():
            yield Skipped(self.name, HEAD, f"{', '.join(names)}: {reason}")


def _why_not(blueprint: Blueprint, value: str) -> str:
    if reason := why_no_head(blueprint):
        return reason
    head = usable_head(blueprint)
    if value.startswith("gap") and len(head.linears) == head.pixels == 1:
        bias = blueprint.layer(head.linears[0]).bias
        if bias != value.endswith("+nobias"):
            return "the head already has this form"
    return ""


def _scores(value: str, channels: int, classes: int, bias: bool) -> OrderedDict[str, nn.Module]:
    parts = OrderedDict[str, nn.Module](conv=nn.Conv2d(channels, classes, 1, bias=bias))
    if "+bn" in value:
        parts["bn"] = nn.BatchNorm2d(classes)
    parts["act"] = nn.ReLU6() if value.endswith("+relu6") else nn.ReLU()
    return parts


@lru_cache(maxsize=1024)
def _block_graph(
    value: str, channels: int, classes: int, bias: bool, size: tuple[int, int]
) -> BlockGraph:
    from ..blocks.block_tracing import take_apart

    return take_apart(
        lambda: nn.Sequential(_scores(value, channels, classes, bias)), channels, classes, size
    )


def _classes(blueprint: Blueprint, head: ClassifierHead) -> int:
    return blueprint.layer(head.linears[-1]).writes.count(blueprint.sizes)


def _biased(blueprint: Blueprint) -> bool:
    """Return whether the network's last convolution has a bias."""
    convs = [layer for layer in blueprint.layers if layer.op is Op.CONV and layer.stage != HEAD]
    return convs[-1].bias if convs else True


def _without_head(blueprint: Blueprint) -> Blueprint:
    marks = replace(blueprint.structure, classifier_head=None)
    return replace(blueprint, structure=marks).without_orphans()
