"""Post-training quantization: calibration alone."""

from __future__ import annotations

from ...lazy_imports import nn
from ..technique import ApplyContext, TechniqueInfo
from .quantizer import Quantizer


class Calibration(Quantizer):
    """Post-training quantization, which the technique `bits` has already done: no training."""

    info = TechniqueInfo(
        name="ptq",
        title="post-training quantization: calibration only",
        replaces="nothing",
        saves="nothing",
        paper="Jacob et al. 2018",
        link="https://arxiv.org/abs/1712.05877",
    )

    def train(self, network: nn.Module, context: ApplyContext) -> None:
        """Do nothing."""
