"""Unstructured pruning: the smallest weights are set to zero.

Iterative magnitude pruning as in Han et al.: Learning both Weights and Connections (2015),
https://arxiv.org/abs/1506.02626, in rounds of 20 % of the remaining weights, as in the paper on
which Paredown is based. Zeros do not make a model faster on dense hardware, so they reduce only
params and bytes, by the MicroNet rule: non-zero weights, and a mask of one bit per weight.
Deviation: every layer of a stage has the same sparsity, so that costs are known before training.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ...lazy_imports import nn, torch
from ..graph.blueprint import Blueprint, Layer
from ..graph.zero_masks import STORED_ZEROS
from ..technique import BETWEEN, ApplyContext, Phase, Technique, TechniqueInfo, Value
from .bases import parse_fraction

_PER_ROUND = 0.2
_ROUNDING = 1e-6
"""Tolerance for rounding errors in products of shares."""


class Sparsity(Technique):
    """The fraction of a stage's weights that is set to zero."""

    name = "sparse"
    title = "fraction of a stage's weights set to zero; no speed-up on dense hardware"
    phase = Phase.PRUNE
    neutral = 0.0

    def default_options(self) -> tuple[Value, ...]:
        return (self.neutral,)

    def infos(self) -> Iterable[TechniqueInfo]:
        yield TechniqueInfo(
            name="0 <= sparse < 1",
            title="iterative magnitude pruning, 20 % of the remaining weights per round",
            replaces="weights of a stage",
            saves="that fraction of params and bytes, less a mask of 1 bit per weight; no FLOPs",
            paper="Learning Weights and Connections, Han et al. 2015",
            link="https://arxiv.org/abs/1506.02626",
        )

    def parse(self, value: object) -> Value:
        return parse_fraction(value, "a sparsity", low_open=False, high_open=True)

    def places(self, blueprint: Blueprint, value: Value) -> Sequence[str]:
        every = dict.fromkeys(blueprint.stages, value)
        thinned = {layer.stage for layer in blueprint.layers if _thins(layer, every)}
        return tuple(stage for stage in blueprint.stages if stage in thinned)

    def predict_graph(self, blueprint: Blueprint, chosen: Mapping[str, Value]) -> Blueprint:
        return blueprint.with_layers(
            layer.but(zeros=_zeros(layer, blueprint, float(chosen[layer.stage])))
            if _thins(layer, chosen)
            else layer
            for layer in blueprint.layers
        )

    def apply(
        self,
        network: nn.Module,
        blueprint: Blueprint,
        chosen: Mapping[str, Value],
        context: ApplyContext,
    ) -> nn.Module:
        layers = [layer for layer in blueprint.layers if _thins(layer, chosen)]
        rounds = list(_rounds(max(float(share) for share in chosen.values())))
        for number, share in enumerate(rounds):
            if number:
                context.tune(network, BETWEEN)
            for layer in layers:
                now = min(share, float(chosen[layer.stage]))
                _thin_out(network.get_submodule(layer.name), _zeros(layer, blueprint, now))
        return network


def _rounds(share: float) -> Iterator[float]:
    """Yield the share of zeros after each round; the last is `share`."""
    remains = 1 - _PER_ROUND
    while remains > 1 - share + _ROUNDING:
        yield 1 - remains
        remains *= 1 - _PER_ROUND
    yield share


def _thins(layer: Layer, chosen: Mapping[str, Value]) -> bool:
    return layer.stage in chosen and layer.computes and not layer.is_frozen


def _zeros(layer: Layer, blueprint: Blueprint, share: float) -> int:
    return int(layer.weights(blueprint.sizes) * share + _ROUNDING)  # 100 * 0.29 < 29 in floats


def _thin_out(module: nn.Module, zeros: int) -> None:
    """Set the smallest weights to zero, including those that already are zero."""
    weight = module.get_parameter("weight")
    setattr(module, STORED_ZEROS, zeros)
    if zeros and not weight.is_meta:
        goes = torch.zeros(weight.numel(), dtype=torch.bool, device=weight.device)
        goes[weight.detach().abs().flatten().argsort(stable=True)[:zeros]] = True
        with torch.no_grad():
            weight.masked_fill_(goes.view(weight.shape), 0.0)  # for any memory format
