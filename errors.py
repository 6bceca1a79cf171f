"""Every error that Paredown raises on purpose.

ParedownError                 exit code 1: something went wrong
 ├─ InputError                exit code 2: what the user gave cannot be used
 │   ├─ UnknownName             a name nobody registered; says the nearest ones
 │   ├─ PlanError               a plan that does not fit its model
 │   ├─ StudyFileError          a study file with faults; says all of them
 │   ├─ DataError               a data set or image folder
 │   ├─ ModelError              a network that cannot be built or traced
 │   ├─ UserCodeError           the user's own function failed; says where
 │   ├─ WeightsError            weights that do not fit their network
 │   └─ StorageError            a study's storage, or a study of something else
 ├─ NothingFits               exit code 3: no plan keeps within the budget
 ├─ FileDiffers               exit code 4: an exported file is not as good as its network
 ├─ TrainingDiverged          the loss is no longer a finite number
 ├─ OutOfTime                 the time limit was reached before there was anything to show
 └─ PredictionMismatch        a network does not cost what its plan predicted: a bug
"""

import copyreg
import difflib
from collections.abc import Iterable, Sequence
from typing import Any


class ParedownError(Exception):
    """The root of Paredown's errors. `exit_code` is what the command ends with."""

    exit_code = 1

    def __reduce__(self) -> tuple[Any, ...]:
        """As it is, without its constructor: these take other arguments than the message."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class InputError(ParedownError):
    """What the user gave cannot be used; the message says what was expected and what came."""

    exit_code = 2


class UnknownName(InputError):
    """A name that is not registered.

    Args:
        noun: the sort of thing, as in "sampler".
        name: what was given.
        known: the names there are.
        see: a command that lists them, if there is one.
        where: where it was looked for, as in " in paredown.db".
    """

    def __init__(
        self, noun: str, name: str, known: Iterable[str], see: str | None = None, where: str = ""
    ) -> None:
        self.noun, self.name, self.known = noun, name, sorted(known)
        near = nearest_names(name, self.known)
        super().__init__(f"unknown {noun} {name!r}{where}; {near}{_listed(see)}")


class PlanError(InputError):
    """A plan that cannot be read, or does not fit the model it is meant for."""


class StudyFileError(InputError):
    """A study file with faults, all of them told at once.

    Args:
        source: the file's name.
        faults: one sentence each, beginning with the key at fault.
    """

    def __init__(self, source: str, faults: Sequence[str]) -> None:
        self.source, self.faults = source, tuple(faults)
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__(f"{source} has {count}:\n" + "\n".join(f"  - {fault}" for fault in faults))


class DataError(InputError):
    """A data set that is missing, empty, broken or too small to split."""


class ModelError(InputError):
    """A network that cannot be built, or cannot be run on the images."""


class UserCodeError(InputError):
    """A function or file of the user's that failed while it ran.

    Args:
        subject: the function or file, as it was named.
        error: that it ended in.
        where: the file, the line and its text; empty if that is not known.
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
    """A storage that cannot be opened, or that holds a study of something else."""


class NothingFits(ParedownError):
    """No evaluated plan keeps within a budget."""

    exit_code = 3


class FileDiffers(ParedownError):
    """An exported file does not answer like the network that it was written from."""

    exit_code = 4


class TrainingDiverged(ParedownError):
    """The training loss became NaN or infinite."""


class OutOfTime(ParedownError):
    """A time limit was reached before there was anything to show."""


class PredictionMismatch(ParedownError):
    """A network does not cost what its plan predicted: a defect in Paredown, never the user's."""


def nearest_names(name: str, known: Sequence[str]) -> str:
    """The half sentence that helps after an unknown name: the nearest ones, else all of them."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    near = [by_lower[match] for match in difflib.get_close_matches(name.lower(), by_lower, n=3)]
    if near:
        return f"did you mean {' or '.join(near)}?"
    if not known:
        return "there are none"
    return f"known: {', '.join(known)}" if len(known) <= 12 else f"{len(known)} are known"


def first_names(names: Sequence[str], most: int) -> str:
    """The first names of a row, and how many more there are: "a, b and 3 more"."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _at(where: str) -> str:
    return f"\n  in {where}" if where else ""


def _listed(see: str | None) -> str:
    return f" (`{see}` lists them)" if see else ""
