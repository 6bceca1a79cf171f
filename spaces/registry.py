"""Named, described records: what a study file may name, and what the listing commands print."""

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from ..errors import UnknownName


class Named(Protocol):
    """Anything with a name to be registered under."""

    @property
    def name(self) -> str: ...


Record = TypeVar("Record", bound=Named)


class Registry(Generic[Record]):
    """Records by name, in the order in which they were registered.

    Args:
        what: what one record is, for errors: "block family".
        see: the command that lists the records, if there is one.
    """

    def __init__(self, what: str, see: str | None = None) -> None:
        self.what, self.see = what, see
        self._records: dict[str, Record] = {}

    def register(self, record: Record) -> Record:
        """Add a record; its name must be new. Returns the record, so that it can decorate."""
        if record.name in self._records:
            raise ValueError(f"{self.what} {record.name!r} is registered twice")
        self._records[record.name] = record
        return record

    def get(self, name: str) -> Record:
        """The record of that name.

        Raises:
            UnknownName: nobody registered it; the message says the nearest names.
        """
        try:
            return self._records[name]
        except KeyError:
            raise UnknownName(self.what, name, self._records, self.see) from None

    def __contains__(self, name: object) -> bool:
        return name in self._records

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records.values())

    def __len__(self) -> int:
        return len(self._records)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._records)
