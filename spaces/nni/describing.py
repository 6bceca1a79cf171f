"""NNI's techniques, described."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..technique import TechniqueInfo


@dataclass(frozen=True)
class Pruner:
    """One of NNI's pruners.

    Attributes:
        class_name: in `nni.compression.pruning`.
        trains: whether it learns from examples.
        scales_norms: whether it looks at batch norms rather than at what they follow.
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
"""Name -> class in `nni.compression.quantization`."""


def nni_info(name: str, title: str, paper: str, arxiv: str, saves: str) -> TechniqueInfo:
    """A technique that NNI brings; `arxiv` is the number of its paper there."""
    return TechniqueInfo(
        name=name,
        title=title,
        replaces="nothing",
        saves=saves,
        paper=paper,
        link=f"https://arxiv.org/abs/{arxiv}",
        extra="nni",
    )
