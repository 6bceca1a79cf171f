"""The cost of a network, computed from its blueprint.

Counted are the parameters of all layers, and the multiply-accumulates (MACs) of convolutions and
linear layers for one image. FLOPs are 2 x MACs. The effective figures follow the MicroNet
Challenge (https://micronet-challenge.github.io/scoring.html): a b-bit parameter counts b/32, and
an operation max(weight bits, activation bits)/32. Biases and normalisation stay at 32 bits. In
sparse layers, non-zero weights count, and a mask of one bit per weight; operations count in full,
because dense hardware computes with zeros, too.
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
"""The key of a study's objectives in stored costs."""


@dataclass(frozen=True)
class Cost:
    """The cost of a network for one image.

    Attributes:
        params: number of parameters, of any width.
        params_effective: number of parameters weighted by bits/32.
        macs: multiply-accumulates of convolutions and linear layers.
        flops_effective: 2 x MACs weighted by max(weight bits, activation bits)/32.
        bops: bit operations, MACs x weight bits x activation bits.
        bytes: file size of the parameters if each is stored in its own width, with the scales and
            zero points of integers.
        chosen: (name, value) of a study's objectives; empty for the default objectives.
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
        """The objectives of the study; by default effective params and effective FLOPs."""
        if self.chosen:
            return tuple(figure for _, figure in self.chosen)
        return self.params_effective, self.flops_effective

    def to_stored(self) -> dict[str, Any]:
        """Return JSON-compatible data for `from_dict`."""
        return self.figures() | ({OBJECTIVES_KEY: dict(self.chosen)} if self.chosen else {})

    def figures(self) -> dict[str, Any]:
        """Return the figures of all costs, by name."""
        return {
            attribute.name: getattr(self, attribute.name)
            for attribute in fields(self)
            if attribute.name != "chosen"
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Cost:
        """Create a cost from the data of `to_stored` or `to_dict`; other keys are ignored."""
        names = [attribute.name for attribute in fields(cls) if attribute.name != "chosen"]
        chosen = tuple(data.get(OBJECTIVES_KEY, {}).items())
        return cls(**{name: data[name] for name in names}, chosen=chosen)

    def to_dict(self) -> dict[str, Any]:
        """Return all figures by name, with FLOPs, and the study's objectives if not default."""
        return self.to_stored() | {"flops": self.flops}

    def dominates(self, other: Cost) -> bool:
        """Return whether this cost is at most the other in all objectives and lower in one."""
        ours, theirs = self.objectives, other.objectives
        return all(a <= b for a, b in zip(ours, theirs, strict=True)) and ours != theirs


def count(blueprint: Blueprint) -> Cost:
    """Count the cost of a blueprint."""
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
    """Count the bits of integer layers' scales: 32 per output channel for weights, and for
    activations a 32-bit scale with an 8-bit zero point."""
    weights = 32 * channels if layer.weight_bits <= INTEGER_BITS else 0
    return weights + (40 if layer.activation_bits <= INTEGER_BITS else 0)


def measure(network: nn.Module, images: torch.Tensor) -> Cost:
    """Measure the cost of a built network by a run on `images`, [batch, channels, h, w]."""
    from ...spaces.graph.tracing import trace

    return count(trace(network, images))


def check_prediction(predicted: Cost, measured: Cost, subject: str) -> None:
    """Validate that the measured cost of a network equals its predicted cost.

    Raises:
        PredictionMismatch: they differ, which is a bug in Paredown.
    """
    if predicted != measured:
        raise PredictionMismatch(
            f"{subject}: predicted cost {predicted} does not match measured cost {measured}; "
            "please report this bug"
        )
