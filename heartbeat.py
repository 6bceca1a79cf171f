"""A heartbeat of long computations, by which a caller sees progress and can abort.

Loops call `beat` at every step: a batch of images, a step of an optimizer. The listener is set by
the caller in a context variable, so no loop has to pass it down.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_LISTENER: ContextVar[Callable[[], None] | None] = ContextVar("heartbeat listener", default=None)


def beat() -> None:
    """Report one step of work. The listener may raise to abort the work."""
    listener = _LISTENER.get()
    if listener is not None:
        listener()


@contextmanager
def listening(listener: Callable[[], None]) -> Iterator[None]:
    """Call a listener at every `beat` inside."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)
