"""Unstructured pruning: the smallest weights become zero, wherever they are.

Iterative magnitude pruning as in Han et al.: Learning both Weights and Connections (2015),
https://arxiv.org/abs/1506.02626, in rounds of 20 % of what remains, as in the paper that this
project starts from. The zeros make a model sparse, not fast: on a dense device it computes as much
as before. So they count in params and bytes alone, by the MicroNet rule: what is not zero, and a
mask of one bit per weight. Deviation: each layer loses the same share, so that costs are known
beforehand.
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
"""More than products of shares are off by in floating point."""


class Sparsity(Technique):
    """The share of a stage's weights that becomes zero."""

    name = "sparse"
    title = "share of a stage's weights that becomes zero; no faster on a dense device"
    phase = Phase.PRUNE
    neutral = 0.0

    def default_options(self) -> tuple[Value, ...]:
        return (self.neutral,)

    def infos(self) -> Iterable[TechniqueInfo]:
        yield TechniqueInfo(
            name="0 <= sparse < 1",
            title="iterative magnitude pruning, 20 % of what remains per round",
            replaces="weights of a stage",
            saves="its share of params and bytes in sparse storage, less a bit each; no FLOPs",
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
    """The share of zeros after each round, up to this one."""
    remains = 1 - _PER_ROUND
    while remains > 1 - share + _ROUNDING:
        yield 1 - remains
        remains *= 1 - _PER_ROUND
    yield share


def _thins(layer: Layer, chosen: Mapping[str, Value]) -> bool:
    return layer.stage in chosen and layer.computes and not layer.is_frozen


def _zeros(layer: Layer, blueprint: Blueprint, share: float) -> int:
    return int(layer.weights(blueprint.sizes) * share + _ROUNDING)  # 0.29 of 100 are 29


def _thin_out(module: nn.Module, zeros: int) -> None:
    """Set the smallest weights to zero; those that are zero already are among them."""
    weight = module.get_parameter("weight")
    setattr(module, STORED_ZEROS, zeros)
    if zeros and not weight.is_meta:
        goes = torch.zeros(weight.numel(), dtype=torch.bool, device=weight.device)
        goes[weight.detach().abs().flatten().argsort(stable=True)[:zeros]] = True
        with torch.no_grad():
            weight.masked_fill_(goes.view(weight.shape), 0.0)  # however they lie in memory
