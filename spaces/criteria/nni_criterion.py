"""NNI's pruners as criteria: they select the channels, and NNI removes them where possible."""

from __future__ import annotations

from ...lazy_imports import nn
from ..graph.blueprint import Blueprint
from ..nni import PRUNERS, nni_info
from ..technique import ApplyContext
from .chance import Chance
from .criterion import Criterion

_TITLES = {
    "nni-l1": ("NNI's L1NormPruner", "Pruning Filters, Li et al. 2017", "1608.08710"),
    "nni-fpgm": ("NNI's FPGMPruner", "FPGM, He et al. 2019", "1811.00250"),
    "nni-taylor": (
        "NNI's TaylorPruner",
        "Importance Estimation, Molchanov et al. 2019",
        "1906.10771",
    ),
    "nni-slim": ("NNI's SlimPruner", "Network Slimming, Liu et al. 2017", "1708.06519"),
}


class NniCriterion(Criterion):
    """A pruner of NNI.

    Args:
        name: a key of `paredown.spaces.nni.PRUNERS`.
    """

    def __init__(self, name: str) -> None:
        self.info = nni_info(name, *_TITLES[name], saves="nothing")

    def cut(
        self, network: nn.Module, before: Blueprint, after: Blueprint, context: ApplyContext
    ) -> nn.Module:
        from ..nni.pruners import prune

        if PRUNERS[self.name].trains and not context.examples:
            return Chance().cut(network, before, after, context)  # only shapes matter
        return prune(network, before, after, self.name, context.images, context.examples)
