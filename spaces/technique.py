"""A technique, described: what the listing commands print and the docs are made from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Technique:
    """One thing that a plan can do to a network.

    Attributes:
        name: as written in plans and study files.
        title: in words.
        replaces: what it acts on.
        saves: what it typically saves there.
        paper, link: what it comes from and where to read it; empty if it is common knowledge.
        extra: of Paredown that must be installed; empty if none.
    """

    name: str
    title: str
    replaces: str
    saves: str
    paper: str = ""
    link: str = ""
    extra: str = ""


class Described:
    """Anything that is listed, and named in plans, by its technique."""

    technique: Technique

    @property
    def name(self) -> str:
        return self.technique.name
