"""Quantization: fewer bits per weight and activation, after training.

Batch norm is folded into the convolutions, activation ranges are calibrated on images, and biases
are corrected for the mean rounding error: see spaces/quantization.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...errors import PlanError
from ...lazy_imports import nn, torch
from ..graph.blueprint import Blueprint, Layer
from ..graph.submodules import replace_module
from ..quantization.folding import fold, foldable, folded
from ..quantization.widths import (
    FLOAT_BITS,
    INTEGER_BITS,
    BitWidth,
    find_width,
    shipped_widths,
    simulated_weights,
)
from ..technique import ApplyContext, Phase, Technique, TechniqueInfo, Value

if TYPE_CHECKING:
    from ..quantization.layers import Quantized


class Bits(Technique):
    """The bit-widths of a stage's convolutions and linear layers. Biases stay at 32 bits."""

    name = "bits"
    title = "bit-widths of a stage's weights and activations"
    phase = Phase.QUANTIZE
    neutral = "w32a32"

    def default_options(self) -> tuple[Value, ...]:
        return (self.neutral, "w16a16", "w8a8", "w4a8")

    def infos(self) -> Iterable[TechniqueInfo]:
        for width in shipped_widths():
            described = _described(width.name, _words(width), _saved(width))
            floats = width.weights > INTEGER_BITS
            yield replace(described, paper="", link="") if floats else described
        few = ", ".join(f"w{bits}" for bits in simulated_weights())
        yield _described(
            f"{few} with a32 ... a8",
            "simulated bit-widths: evaluated in search, but not supported by exported files",
            "in proportion to the bits",
        )
        yield _described(
            "w4a8+edges",
            "w4a8 also in the first and last layer, which otherwise have at least 8 bits",
            "more than w4a8",
        )

    def parse(self, value: object) -> Value:
        if not isinstance(value, str):
            raise PlanError(f"expected a bit-width such as 'w8a8', got {value!r}")
        return find_width(value).name

    def places(self, blueprint: Blueprint, value: Value) -> Sequence[str]:
        width, edges = find_width(str(value)), _edges(blueprint)
        touched = {
            layer.stage
            for layer in blueprint.layers
            if layer.computes
            and not layer.is_frozen
            and not (width.spares_edges and layer in edges)
        }
        return tuple(stage for stage in blueprint.stages if stage in touched)

    def everywhere(self, blueprint: Blueprint, value: Value) -> Mapping[str, Value]:
        at_edges = find_width(str(value)).at_edge().name
        places = dict.fromkeys(self.places(blueprint, value), value)
        return dict.fromkeys(self.places(blueprint, at_edges), at_edges) | places

    def predict_graph(self, blueprint: Blueprint, chosen: Mapping[str, Value]) -> Blueprint:
        widths = _widths(blueprint, chosen)
        layers = folded(blueprint.layers, foldable(blueprint, widths))
        return blueprint.with_layers(
            _with_bits(layer, widths[layer.name]) if layer.name in widths else layer
            for layer in layers
        )

    def apply(
        self,
        network: nn.Module,
        blueprint: Blueprint,
        chosen: Mapping[str, Value],
        context: ApplyContext,
    ) -> nn.Module:
        from ..graph.dataflow import Flow, watch
        from ..graph.tracing import on_meta
        from ..quantization.layers import quantized
        from ..quantization.observing import (
            correct_biases,
            observe,
            read_together,
            written_apart,
        )

        widths = _widths(blueprint, chosen)
        fold(network, foldable(blueprint, widths))
        integers = [name for name, width in widths.items() if width.activations <= INTEGER_BITS]
        seen = observe(network, integers, context.calibration)
        flow = watch(on_meta(network), context.images.to("meta")) if integers else Flow()
        apart = written_apart(flow, integers)
        stand_ins: dict[str, Quantized] = {}
        for name, width in widths.items():
            ranges = seen.get(name)
            stand_ins[name] = quantized(
                network.get_submodule(name),
                width,
                ranges.reads if ranges else None,
                ranges.writes if ranges and name in apart else None,
            )
        rounded = {name: layer.rounded_weight().detach() for name, layer in stand_ins.items()}
        correct_biases(network, rounded, context.calibration)
        for name, stand_in in stand_ins.items():
            corrected = network.get_submodule(name).bias
            if isinstance(corrected, torch.Tensor):
                stand_in.bias = nn.Parameter(corrected.detach().clone())
            replace_module(network, name, stand_in)
        for module, layers in read_together(flow, integers).items():
            _round_once(network.get_submodule(module), [stand_ins[name] for name in layers])
        return network


def _round_once(module: nn.Module, layers: Sequence[Quantized]) -> None:
    """Quantize a module's input once for the layers inside that read it, if their bits agree."""
    from ..quantization.layers import IntegerActivations, RoundedBefore, round_inputs

    rounder, widths = layers[0].inputs, {layer.activation_bits for layer in layers}
    # nn.Sequential would run the added submodule as one of its layers.
    if isinstance(module, nn.Sequential) or len(widths) > 1:
        return
    if isinstance(rounder, IntegerActivations):
        round_inputs(module, rounder)
        for layer in layers:
            layer.inputs = RoundedBefore(rounder).train(layer.training)


def _widths(blueprint: Blueprint, chosen: Mapping[str, Value]) -> dict[str, BitWidth]:
    """Map the layers of the chosen stages to their bit-widths."""
    edges = {layer.name for layer in _edges(blueprint)}
    return {
        layer.name: width.at_edge() if layer.name in edges else width
        for layer in blueprint.layers
        if layer.stage in chosen and layer.computes and not layer.is_frozen
        for width in (find_width(str(chosen[layer.stage])),)
    }


def _edges(blueprint: Blueprint) -> tuple[Layer, ...]:
    """Return the first and the last layer with MACs."""
    computing = [layer for layer in blueprint.layers if layer.computes]
    return (computing[0], computing[-1]) if computing else ()


def _with_bits(layer: Layer, width: BitWidth) -> Layer:
    return layer.but(weight_bits=width.weights, activation_bits=width.activations)


def _described(name: str, title: str, saves: str) -> TechniqueInfo:
    return TechniqueInfo(
        name=name,
        title=title,
        replaces="convs, linear layers",
        saves=saves,
        paper="Jacob et al. 2018",
        link="https://arxiv.org/abs/1712.05877",
    )


def _words(width: BitWidth) -> str:
    types = {32: "float32", 16: "float16", 8: "8-bit", 4: "4-bit"}
    return f"{types[width.weights]} weights, {types[width.activations]} inputs"


def _saved(width: BitWidth) -> str:
    if width.weights == FLOAT_BITS:
        return "nothing"
    by, times = FLOAT_BITS // width.weights, FLOAT_BITS // width.activations
    if times == 1:
        return f"{by}x of bytes"
    return f"{by}x of bytes, {times}x of effective FLOPs"
