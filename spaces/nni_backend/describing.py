"""NNI's techniques, described."""

from ..technique import Technique


def nni_technique(name: str, title: str, paper: str, arxiv: str, saves: str) -> Technique:
    """A technique that NNI brings; `arxiv` is the number of its paper there."""
    return Technique(
        name=name,
        title=title,
        replaces="nothing",
        saves=saves,
        paper=paper,
        link=f"https://arxiv.org/abs/{arxiv}",
        extra="nni",
    )
