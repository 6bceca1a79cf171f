"""A heartbeat of long work: whoever waits for it learns that it goes on, and may end it.

Work calls `beat` at every step: a batch of images, a step of an optimizer. What listens is set
from outside, so that loops at the bottom need not know who waits for them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_LISTENER: ContextVar[Callable[[], None] | None] = ContextVar("heartbeat listener", default=None)


def beat() -> None:
    """Report one step of work. Raises whatever the listener raises, to end the work."""
    listener = _LISTENER.get()
    if listener is not None:
        listener()


@contextmanager
def listening(listener: Callable[[], None]) -> Iterator[None]:
    """Call a listener at every step of the work inside."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)
