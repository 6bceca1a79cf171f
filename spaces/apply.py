"""Prediction of a plan on a blueprint, and its application to a network, phase by phase."""

from __future__ import annotations

from ..lazy_imports import nn
from .graph.blueprint import Blueprint
from .plan import Plan
from .technique import ApplyContext, Phase
from .techniques import TECHNIQUES, techniques_in


def predict_graph(blueprint: Blueprint, plan: Plan, through: Phase = Phase.QUANTIZE) -> Blueprint:
    """Predict the blueprint of a plan's network, without building it.

    Args:
        blueprint: the baseline, with channel groups.
        plan: a plan from the network's search space.
        through: the last phase to predict.
    """
    for technique in TECHNIQUES:
        chosen = plan.chosen(technique.name)
        if chosen and technique.phase <= through:
            blueprint = technique.predict_graph(blueprint, chosen)
    return blueprint


def apply_phase(
    network: nn.Module, blueprint: Blueprint, plan: Plan, phase: Phase, context: ApplyContext
) -> nn.Module:
    """Apply one phase of a plan to a network, in place where possible.

    Args:
        network: the network after the earlier phases; may be on the meta device.
        blueprint: the baseline, with channel groups.
        plan: a plan from the network's search space.
        phase: the phase to apply.
        context: images on the network's device.

    Returns:
        The network, whose blueprint is now `predict_graph(blueprint, plan, phase)`.
    """
    before = Phase(phase - 1) if phase > Phase.STRUCTURE else None
    current = predict_graph(blueprint, plan, before) if before else blueprint
    for technique in techniques_in(phase):
        chosen = plan.chosen(technique.name)
        if chosen:
            network = technique.apply(network, current, chosen, context)
            current = technique.predict_graph(current, chosen)
    return network
