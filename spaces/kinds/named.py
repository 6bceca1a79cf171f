"""Kinds whose options are names, each a form of one technique."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import ClassVar

from ...errors import UnknownName
from ..kind import Kind, Value
from ..technique import Technique


class NamedKind(Kind):
    """A kind that offers "original" and some names.

    Attributes:
        untouched: what "original" means, in words.
        titles: option -> what it is, in words.
        technique: what all options but "original" share; its name and title are theirs.
    """

    neutral = "original"
    untouched: ClassVar[str]
    titles: ClassVar[Mapping[str, str]]
    technique: ClassVar[Technique]

    def default_options(self) -> tuple[Value, ...]:
        return (self.neutral,)

    def techniques(self) -> Iterable[Technique]:
        yield Technique(str(self.neutral), self.untouched, "nothing", "nothing")
        for name, title in self.titles.items():
            yield replace(self.technique, name=name, title=title)

    def parse(self, value: object) -> Value:
        allowed = (str(self.neutral), *self.titles)
        if isinstance(value, str) and value in allowed:
            return value
        raise UnknownName(self.name, str(value), allowed, "paredown techniques")
