"""Input resolution: the network downscales its input images.

Tan and Le: EfficientNet (2019), https://arxiv.org/abs/1905.11946, which scales resolution together
with width and depth. The resizing is part of the network, so its input shape does not change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from ...errors import PlanError
from ...lazy_imports import nn, torch
from ..graph.blueprint import Blueprint, Skipped
from ..graph.input_sizes import SCALES, scaled_size
from ..technique import ApplyContext, Phase, Technique, TechniqueInfo, Value

INPUT = "input"


class Resolution(Technique):
    """The fraction of the image's side length at which the network runs."""

    name = "resolution"
    title = "fraction of the image's side length at which the network runs"
    phase = Phase.STRUCTURE
    neutral = 1.0
    changes_input = True

    def default_options(self) -> tuple[Value, ...]:
        return (1.0,)

    def infos(self) -> Iterable[TechniqueInfo]:
        yield TechniqueInfo(
            name=", ".join(f"{share:g}" for share in (1.0, *SCALES)),
            title="smaller images",
            replaces="the input",
            saves="about 4x of FLOPs at 0.5, no params",
            paper="EfficientNet, Tan and Le 2019",
            link="https://arxiv.org/abs/1905.11946",
        )

    def parse(self, value: object) -> Value:
        for share in (1.0, *SCALES):
            if value == share and not isinstance(value, bool):
                return share
        allowed = ", ".join(f"{share:g}" for share in (1.0, *SCALES))
        raise PlanError(f"expected a resolution of {allowed}; got {value!r}")

    def places(self, blueprint: Blueprint, value: Value) -> Sequence[str]:
        return (INPUT,) if value in blueprint.scaled else ()

    def predict_graph(self, blueprint: Blueprint, chosen: Mapping[str, Value]) -> Blueprint:
        if INPUT not in chosen:
            return blueprint
        smaller = blueprint.scaled[float(chosen[INPUT])]
        layers = (
            layer.but(positions=seen.positions, geometry=seen.geometry)
            for layer, seen in zip(blueprint.layers, smaller.layers, strict=True)
        )
        return replace(blueprint.with_layers(layers), structure=smaller.structure)

    def apply(
        self,
        network: nn.Module,
        blueprint: Blueprint,
        chosen: Mapping[str, Value],
        context: ApplyContext,
    ) -> nn.Module:
        if INPUT not in chosen:
            return network
        height, width = context.images.shape[2:]
        return _resizing(network, scaled_size((height, width), float(chosen[INPUT])))

    def skipped(self, blueprint: Blueprint, options: Sequence[Value]) -> Iterator[Skipped]:
        for value in options:
            if value != self.neutral and value not in blueprint.scaled:
                reason = f"the network does not run on images of {value:g} of the side length"
                yield Skipped(self.name, INPUT, reason)


def _resizing(network: nn.Module, size: tuple[int, int]) -> nn.Module:
    """Make a network resize its input first, in place, by a subclass made for it.

    torch's parametrizations also change a module's class: the names of layers stay.
    """
    import torch.nn.functional as F  # not lazily: torch.export reads what `forward` calls

    plain = type(network)

    def forward(self: nn.Module, images: torch.Tensor) -> object:
        smaller = F.interpolate(images, size=size, mode="bilinear", align_corners=False)
        return plain.forward(self, smaller)

    network.__class__ = type(f"Resized{plain.__name__}", (plain,), {"forward": forward})
    return network
