"""Plans carried out: predicted on a blueprint, and done to a network, phase by phase."""

from __future__ import annotations

from ..lazy_imports import nn
from .graph.blueprint import Blueprint
from .plan import Plan
from .technique import ApplyContext, Phase
from .techniques import TECHNIQUES, techniques_in


def predict_graph(blueprint: Blueprint, plan: Plan, through: Phase = Phase.QUANTIZE) -> Blueprint:
    """The blueprint that a plan leads to, without building anything.

    Args:
        blueprint: of the untouched network, with its channel groups.
        plan: a plan that the network's space holds.
        through: the last phase that counts.
    """
    for technique in TECHNIQUES:
        chosen = plan.chosen(technique.name)
        if chosen and technique.phase <= through:
            blueprint = technique.predict_graph(blueprint, chosen)
    return blueprint


def apply_phase(
    network: nn.Module, blueprint: Blueprint, plan: Plan, phase: Phase, context: ApplyContext
) -> nn.Module:
    """Do one phase of a plan to a network, in place where that is possible.

    Args:
        network: as the phases before left it; without weights it may be on the meta device.
        blueprint: of the untouched network, with its channel groups.
        plan: a plan that the network's space holds.
        phase: the phase to do.
        context: images on the network's device.

    Returns:
        The network, whose blueprint is now `predict(blueprint, plan, phase)`.
    """
    before = Phase(phase - 1) if phase > Phase.STRUCTURE else None
    current = predict_graph(blueprint, plan, before) if before else blueprint
    for technique in techniques_in(phase):
        chosen = plan.chosen(technique.name)
        if chosen:
            network = technique.apply(network, current, chosen, context)
            current = technique.predict_graph(current, chosen)
    return network
