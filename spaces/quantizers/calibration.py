"""Post-training quantization: calibration alone."""

from __future__ import annotations

from ...lazy_imports import nn
from ..technique import ApplyContext, TechniqueInfo
from .quantizer import Quantizer


class Calibration(Quantizer):
    """Nothing is trained: weights are rounded, and activations have the range that images show."""

    info = TechniqueInfo(
        name="ptq",
        title="after training, by calibration alone",
        replaces="nothing",
        saves="nothing",
        paper="Jacob et al. 2018",
        link="https://arxiv.org/abs/1712.05877",
    )

    def train(self, network: nn.Module, context: ApplyContext) -> None:
        """Nothing is left to do."""
