"""Digests of user code, for cache keys and study identities."""

import hashlib
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType

from .references import source_digest

_HERE = __name__.partition(".")[0]


def own_code_digest(target: type | Callable[..., object]) -> str:
    """Digest of the code of a class or function, 12 hexadecimal digits.

    Empty for Paredown's own code. Otherwise a digest of the source file and the files it imports
    from beside it; without a file, as in a notebook, of the bytecode.
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
    """A function's bytecode, names and constants, without file name and line numbers."""
    yield code.co_code
    yield repr(code.co_names).encode()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _parts(constant)
        else:
            yield repr(constant).encode()
