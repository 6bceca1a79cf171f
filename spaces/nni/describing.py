"""Descriptions of NNI's pruners and quantizers."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..technique import TechniqueInfo


@dataclass(frozen=True)
class Pruner:
    """A pruner of NNI.

    Attributes:
        class_name: the class in `nni.compression.pruning`.
        trains: whether it needs training examples.
        scales_norms: whether it scores batch norms instead of convolutions.
    """

    class_name: str
    trains: bool = False
    scales_norms: bool = False


PRUNERS: Mapping[str, Pruner] = {
    "nni-l1": Pruner("L1NormPruner"),
    "nni-fpgm": Pruner("FPGMPruner"),
    "nni-taylor": Pruner("TaylorPruner", trains=True),
    "nni-slim": Pruner("SlimPruner", trains=True, scales_norms=True),
}

QUANTIZERS: Mapping[str, str] = {"nni-qat": "QATQuantizer", "nni-lsq": "LsqQuantizer"}
"""Name in plans -> class in `nni.compression.quantization`."""


def nni_info(name: str, title: str, paper: str, arxiv: str, saves: str) -> TechniqueInfo:
    """Create the listing record of an option of NNI; `arxiv` is the paper's identifier."""
    return TechniqueInfo(
        name=name,
        title=title,
        replaces="nothing",
        saves=saves,
        paper=paper,
        link=f"https://arxiv.org/abs/{arxiv}",
        extra="nni",
    )
