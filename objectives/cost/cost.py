"""What a plan costs, known exactly before any training.

Counted are the parameters of all layers, and the multiply-accumulates (MACs) of convolutions and
linear layers for one image. FLOPs are 2 x MACs. The effective figures follow the MicroNet
Challenge (https://micronet-challenge.github.io/scoring.html): a b-bit parameter counts b/32, and
an operation max(weight bits, activation bits)/32. Biases and normalisation stay at 32 bits. Of
sparse layers those weights count that are not zero, and a mask of one bit per weight; a dense
device computes with the zeros all the same, so operations count in full.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ...errors import PredictionMismatch
from ...lazy_imports import nn, torch
from ...spaces.graph.blueprint import Blueprint, Layer
from ...spaces.quantization.widths import INTEGER_BITS

OBJECTIVES_KEY = "objectives"
"""The key under which costs keep the figures that a study minimizes."""


@dataclass(frozen=True)
class Cost:
    """The cost of a network for one image.

    Attributes:
        params: how many parameters there are, of whatever width.
        params_effective: their sum weighted by bits/32.
        macs: multiply-accumulates of convolutions and linear layers.
        flops_effective: 2 x MACs weighted by max(weight bits, activation bits)/32.
        bops: bit operations, MACs x weight bits x activation bits.
        bytes: what a file takes for the parameters when each is stored in its own width, with the
            scales and zero points of integers.
        chosen: name and figure of what a study minimizes; empty for the default objectives.
    """

    params: int
    params_effective: float
    macs: int
    flops_effective: float
    bops: int
    bytes: int
    chosen: tuple[tuple[str, float], ...] = field(default=(), compare=False)

    @property
    def flops(self) -> int:
        """2 x MACs: a multiplication and an addition each."""
        return 2 * self.macs

    @property
    def objectives(self) -> tuple[float, ...]:
        """What a search minimizes: effective params and effective FLOPs, unless it says others."""
        if self.chosen:
            return tuple(figure for _, figure in self.chosen)
        return self.params_effective, self.flops_effective

    def to_stored(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` reads it back."""
        return self.figures() | ({OBJECTIVES_KEY: dict(self.chosen)} if self.chosen else {})

    def figures(self) -> dict[str, Any]:
        """What every cost has, by name."""
        return {
            attribute.name: getattr(self, attribute.name)
            for attribute in fields(self)
            if attribute.name != "chosen"
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Cost:
        """Reads what `kept` or `to_dict` wrote; other keys are left alone."""
        names = [attribute.name for attribute in fields(cls) if attribute.name != "chosen"]
        chosen = tuple(data.get(OBJECTIVES_KEY, {}).items())
        return cls(**{name: data[name] for name in names}, chosen=chosen)

    def to_dict(self) -> dict[str, Any]:
        """All figures by name, FLOPs included, and the study's objectives if they are others."""
        return self.to_stored() | {"flops": self.flops}

    def dominates(self, other: Cost) -> bool:
        """Whether this is at most the other in all objectives and less in one."""
        ours, theirs = self.objectives, other.objectives
        return all(a <= b for a, b in zip(ours, theirs, strict=True)) and ours != theirs


def count(blueprint: Blueprint) -> Cost:
    """The cost of what a blueprint describes."""
    sizes = blueprint.sizes
    params = macs = bops = param_bits = operation_bits = scale_bits = 0
    for layer in blueprint.layers:
        weights, rest = layer.weights(sizes), layer.other_params(sizes)
        layer_macs = weights * layer.positions
        mask = weights if layer.zeros else 0
        params += weights + rest
        param_bits += (weights - layer.zeros) * layer.weight_bits + mask + 32 * rest
        macs += layer_macs
        operation_bits += layer_macs * max(layer.weight_bits, layer.activation_bits)
        bops += layer_macs * layer.weight_bits * layer.activation_bits
        if weights and (layer.weight_bits < 32 or layer.activation_bits < 32):
            scale_bits += _scale_bits(layer, layer.writes.count(sizes))
    return Cost(
        params=params,
        params_effective=param_bits / 32,
        macs=macs,
        flops_effective=2 * operation_bits / 32,
        bops=bops,
        bytes=-(-(param_bits + scale_bits) // 8),
    )


def _scale_bits(layer: Layer, channels: int) -> int:
    """What integers bring along: a 32-bit scale per output channel for weights, and for
    activations one scale with an 8-bit zero point."""
    weights = 32 * channels if layer.weight_bits <= INTEGER_BITS else 0
    return weights + (40 if layer.activation_bits <= INTEGER_BITS else 0)


def measure(network: nn.Module, images: torch.Tensor) -> Cost:
    """The cost of a built network, by running it once on `images`, [batch, channels, h, w]."""
    from ...spaces.graph.tracing import trace

    return count(trace(network, images))


def check_prediction(predicted: Cost, measured: Cost, subject: str) -> None:
    """See that a network costs what its plan predicted.

    Raises:
        PredictionMismatch: it does not, which is a defect in Paredown.
    """
    if predicted != measured:
        raise PredictionMismatch(
            f"{subject} was predicted to cost {predicted} and costs {measured}; please report this"
        )
