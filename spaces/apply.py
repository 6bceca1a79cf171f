"""Plans carried out: foretold on a blueprint, and done to a network, phase by phase."""

from __future__ import annotations

from ..lazy_imports import nn
from .graph.blueprint import Blueprint
from .plan import Plan
from .technique import Phase, Surroundings
from .techniques import KINDS, kinds_of


def foretell(blueprint: Blueprint, plan: Plan, through: Phase = Phase.QUANTIZE) -> Blueprint:
    """The blueprint that a plan leads to, without building anything.

    Args:
        blueprint: of the untouched network, with its channel groups.
        plan: a plan that the network's space holds.
        through: the last phase that counts.
    """
    for kind in KINDS:
        chosen = plan.chosen(kind.name)
        if chosen and kind.phase <= through:
            blueprint = kind.foretell(blueprint, chosen)
    return blueprint


def apply_phase(
    network: nn.Module, blueprint: Blueprint, plan: Plan, phase: Phase, around: Surroundings
) -> nn.Module:
    """Do one phase of a plan to a network, in place where that is possible.

    Args:
        network: as the phases before left it; without weights it may be on the meta device.
        blueprint: of the untouched network, with its channel groups.
        plan: a plan that the network's space holds.
        phase: the phase to do.
        around: images on the network's device.

    Returns:
        The network, whose blueprint is now `foretell(blueprint, plan, phase)`.
    """
    before = Phase(phase - 1) if phase > Phase.STRUCTURE else None
    current = foretell(blueprint, plan, before) if before else blueprint
    for kind in kinds_of(phase):
        chosen = plan.chosen(kind.name)
        if chosen:
            network = kind.apply(network, current, chosen, around)
            current = kind.foretell(current, chosen)
    return network
