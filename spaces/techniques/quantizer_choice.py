"""The quantizer, chosen once for the network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ...errors import PlanError
from ...lazy_imports import nn
from ..graph.blueprint import WHOLE, Blueprint
from ..quantizers import QUANTIZERS
from ..technique import ApplyContext, Phase, Technique, TechniqueInfo, Value, no_training


class QuantizerTechnique(Technique):
    """Post-training quantization, or quantization-aware training after it."""

    name = "quantizer"
    title = "quantization method: calibration only, or training"
    phase = Phase.QUANTIZE
    neutral = "ptq"
    shapes = False
    trains = True
    modifies = ("bits",)

    def default_options(self) -> tuple[Value, ...]:
        return (self.neutral,)

    def infos(self) -> Iterable[TechniqueInfo]:
        return (quantizer.info for quantizer in QUANTIZERS)

    def parse(self, value: object) -> Value:
        if not isinstance(value, str):
            raise PlanError(f"expected a quantizer such as 'qat', got {value!r}")
        return QUANTIZERS.get(value).name

    def extra(self, value: Value) -> str:
        return QUANTIZERS.get(str(value)).info.extra

    def places(self, blueprint: Blueprint, value: Value) -> Sequence[str]:
        return (WHOLE,)

    def predict_graph(self, blueprint: Blueprint, chosen: Mapping[str, Value]) -> Blueprint:
        return blueprint

    def apply(
        self,
        network: nn.Module,
        blueprint: Blueprint,
        chosen: Mapping[str, Value],
        context: ApplyContext,
    ) -> nn.Module:
        from ..quantization.layers import Rounded

        if context.tune is not no_training:
            QUANTIZERS.get(str(chosen[WHOLE])).train(network, context)
            for module in network.modules():
                if isinstance(module, Rounded):
                    module.settle_pairs()
        return network
