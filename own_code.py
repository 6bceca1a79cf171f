"""The user's own code behind techniques, by a digest: what depends on it is not mixed up."""

import hashlib
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType

from .references import source_digest

_HERE = __name__.partition(".")[0]


def own_code_digest(target: type | Callable[..., object]) -> str:
    """12 hexadecimal digits over what a class or function is written in.

    Empty if it is one of Paredown's. Else over its file and what lies beside it; of one that was
    typed, as in a notebook, over its code.
    """
    if target.__module__.partition(".")[0] == _HERE:
        return ""
    return source_digest(target) or _digest_of_functions(target)


def _digest_of_functions(target: type | Callable[..., object]) -> str:
    total = hashlib.sha256()
    for name, value in _functions(target):
        total.update(name.encode())
        if isinstance(value, FunctionType):
            for part in _parts(value.__code__):
                total.update(part)
    return total.hexdigest()[:12]


def _functions(target: type | Callable[..., object]) -> Iterator[tuple[str, object]]:
    if not isinstance(target, type):
        yield "", target
        return
    for item in target.__mro__[:-1]:
        yield from sorted(vars(item).items(), key=lambda pair: pair[0])


def _parts(code: CodeType) -> Iterator[bytes]:
    """What a function's code says, without where it lies."""
    yield code.co_code
    yield repr(code.co_names).encode()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _parts(constant)
        else:
            yield repr(constant).encode()
