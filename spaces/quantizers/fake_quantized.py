"""Quantization-aware training with fixed scales.

Jacob et al. (2018), https://arxiv.org/abs/1712.05877, section 3. Deviations: scales stay as
calibrated, and batch norm is folded before training instead of during it.
"""

from __future__ import annotations

from ...lazy_imports import nn
from ..technique import ApplyContext, TechniqueInfo
from .quantizer import Quantizer


class FakeQuantized(Quantizer):
    """Trains the float weights of the quantized layers, with straight-through gradients."""

    info = TechniqueInfo(
        name="qat",
        title="quantization-aware training after calibration",
        replaces="nothing",
        saves="costs a training at each bit-width",
        paper="Jacob et al. 2018",
        link="https://arxiv.org/abs/1712.05877",
    )

    def train(self, network: nn.Module, context: ApplyContext) -> None:
        context.tune(network, 1.0)
