"""The tree of errors that Paredown raises on purpose.

ParedownError                 exit code 1: root of the tree
 ├─ InputError                exit code 2: invalid input
 │   ├─ UnknownName             an unregistered name; the message suggests the nearest
 │   ├─ PlanError               an unreadable plan, or a plan that does not fit its model
 │   ├─ StudyFileError          an invalid study file; the message lists all faults
 │   ├─ DataError               an invalid data set or image folder
 │   ├─ ModelError              a network that cannot be built or traced
 │   ├─ UserCodeError           user code raised; the message has the line
 │   ├─ WeightsError            weights that do not fit their network
 │   └─ StorageError            an unusable storage, or a study with another configuration
 ├─ NothingFits               exit code 3: no compressed network meets the budget
 ├─ FileDiffers               exit code 4: an exported file does not match its network
 ├─ TrainingDiverged          the training loss is NaN or infinite
 ├─ OutOfTime                 the time limit was reached before the first result
 └─ PredictionMismatch        predicted and measured cost differ: a bug in Paredown
"""

import copyreg
import difflib
from collections.abc import Iterable, Sequence
from typing import Any


class ParedownError(Exception):
    """Root of Paredown's errors; `exit_code` is the exit code of the command."""

    exit_code = 1

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without calling the constructor, whose arguments are not the message."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class InputError(ParedownError):
    """Invalid input; the message states what was expected and what was found."""

    exit_code = 2


class UnknownName(InputError):
    """A name that is not registered.

    Args:
        noun: the kind of record, as in "sampler".
        name: the unknown name.
        known: the registered names.
        see: a command that lists the names, if there is one.
        where: the place that was searched, as in " in paredown.db".
    """

    def __init__(
        self, noun: str, name: str, known: Iterable[str], see: str | None = None, where: str = ""
    ) -> None:
        self.noun, self.name, self.known = noun, name, sorted(known)
        near = nearest_names(name, self.known)
        super().__init__(f"unknown {noun} {name!r}{where}; {near}{_listed(see)}")


class PlanError(InputError):
    """A plan that cannot be read, or does not fit its model."""


class StudyFileError(InputError):
    """A study file with faults, all listed in one message.

    Args:
        source: the file's name.
        faults: one sentence per fault, beginning with the key at fault.
    """

    def __init__(self, source: str, faults: Sequence[str]) -> None:
        self.source, self.faults = source, tuple(faults)
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__(f"{source} has {count}:\n" + "\n".join(f"  - {fault}" for fault in faults))


class DataError(InputError):
    """A data set that is missing, empty, broken or too small to split."""


class ModelError(InputError):
    """A network that cannot be built, traced, or run on the images."""


class UserCodeError(InputError):
    """A user's function or file that raised an error.

    Args:
        subject: the function or file, as the user named it.
        error: the error raised.
        where: file, line number and source line; empty if unknown.
    """

    def __init__(self, subject: str, error: BaseException, where: str) -> None:
        self.subject, self.where = subject, where
        error_name, text = type(error).__name__, " ".join(str(error).split())
        super().__init__(
            f"{subject} failed with {error_name}{f': {text}' if text else ''}" + _at(where)
        )


class WeightsError(InputError):
    """Weights that cannot be read, or do not fit the network."""


class StorageError(InputError):
    """A storage that cannot be opened, or a study with a different configuration."""


class NothingFits(ParedownError):
    """No evaluated plan is feasible for a budget."""

    exit_code = 3


class FileDiffers(ParedownError):
    """An exported file's outputs do not match those of its network."""

    exit_code = 4


class TrainingDiverged(ParedownError):
    """The training loss became NaN or infinite."""


class OutOfTime(ParedownError):
    """The time limit was reached before the first result."""


class PredictionMismatch(ParedownError):
    """Predicted and measured cost of a network differ: a bug in Paredown, not in the input."""


def nearest_names(name: str, known: Sequence[str]) -> str:
    """Suggest registered names for an unknown one: the nearest, or else all of them."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    near = [by_lower[match] for match in difflib.get_close_matches(name.lower(), by_lower, n=3)]
    if near:
        return f"did you mean {' or '.join(near)}?"
    if not known:
        return "there are none"
    return f"known: {', '.join(known)}" if len(known) <= 12 else f"{len(known)} are known"


def first_names(names: Sequence[str], most: int) -> str:
    """Join the first names and count the rest: "a, b and 3 more"."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _at(where: str) -> str:
    return f"\n  in {where}" if where else ""


def _listed(see: str | None) -> str:
    return f" (`{see}` lists them)" if see else ""
