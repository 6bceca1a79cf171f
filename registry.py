"""Named, described records: what a study file may name, and what the listing commands print."""

from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from .errors import UnknownName
from .references import RUNNING


class Named(Protocol):
    """Anything with a name to be registered under."""

    @property
    def name(self) -> str: ...


Record = TypeVar("Record", bound=Named)


class Registry(Generic[Record]):
    """Records by name, in the order in which they were registered.

    Args:
        noun: what one record is, for errors: "block family".
        see: the command that lists the records, if there is one.
        on_replaced: is called when a record takes another's place.
    """

    def __init__(
        self, noun: str, see: str | None = None, on_replaced: Callable[[], None] | None = None
    ) -> None:
        self.noun, self.see, self._on_replaced = noun, see, on_replaced
        self._records: dict[str, Record] = {}
        self._files: dict[str, str] = {}

    def register(self, record: Record, *, replace: bool = False) -> Record:
        """Add a record. Returns the record, so that it can decorate.

        Its name must be new, unless it comes from the same file of the user's as the one there is:
        a file that was changed is run again, as in a notebook.

        Args:
            record: to add.
            replace: let it take the place of one of the same name, as in a notebook's cell.

        Raises:
            ValueError: there is one of that name.
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
        """The record of that name.

        Raises:
            UnknownName: nobody registered it; the message says the nearest names.
        """
        try:
            return self._records[name]
        except KeyError:
            raise UnknownName(self.noun, name, self._records, self.see) from None

    def not_from_files(self) -> list[Record]:
        """The records that were not registered by a file of the user's that was named."""
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
