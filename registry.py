"""Registries of named records, such as samplers, models and block families."""

from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from .errors import UnknownName
from .references import RUNNING


class Named(Protocol):
    """An object with a name, under which it is registered."""

    @property
    def name(self) -> str: ...


Record = TypeVar("Record", bound=Named)


class Registry(Generic[Record]):
    """Records by name, in order of registration.

    Args:
        noun: the kind of record, for errors: "block family".
        see: the command that lists the records, if there is one.
        on_replaced: called when a record replaces another.
    """

    def __init__(
        self, noun: str, see: str | None = None, on_replaced: Callable[[], None] | None = None
    ) -> None:
        self.noun, self.see, self._on_replaced = noun, see, on_replaced
        self._records: dict[str, Record] = {}
        self._files: dict[str, str] = {}

    def register(self, record: Record, *, replace: bool = False) -> Record:
        """Add a record and return it, so that the method can decorate.

        The name must be new, unless the registered record comes from the same user file: an edited
        file is imported again, as in a notebook.

        Args:
            record: the record to add.
            replace: replace a record of the same name, as in a notebook's cell.

        Raises:
            ValueError: the name is taken.
        """
        name, file = record.name, RUNNING.get()
        if name in self._records:
            if not replace and (not file or self._files.get(name) != file):
                raise ValueError(f"{self.noun} {name!r} is registered twice")
            if self._on_replaced:
                self._on_replaced()
        self._records[name], self._files[name] = record, file
        return record

    def get(self, name: str) -> Record:
        """The record of a name.

        Raises:
            UnknownName: the name is not registered; the message suggests the nearest.
        """
        try:
            return self._records[name]
        except KeyError:
            raise UnknownName(self.noun, name, self._records, self.see) from None

    def not_from_files(self) -> list[Record]:
        """The records that were not registered by a user's file."""
        return [record for name, record in self._records.items() if not self._files.get(name)]

    def __contains__(self, name: object) -> bool:
        return name in self._records

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records.values())

    def __len__(self) -> int:
        return len(self._records)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._records)
