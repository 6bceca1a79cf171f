"""The evaluating process: it does what comes over its standard input, until that is closed.

It never outlives the search: a thread waits at the pipe, and ends the process when the search is
gone, whatever it is doing. What a user's model prints goes to standard error, so that it cannot
get between the messages.
"""

import contextlib
import faulthandler
import io
import os
import signal
import sys

from .channel import Channel
from .inbox import Inbox


def main(crash_file: str) -> None:
    """Serve one search.

    Args:
        crash_file: where to write a dump of what every thread was doing, should it crash.
    """
    # Ctrl-C and `kill` reach the whole group; the search decides what becomes of this process.
    # Not SIG_IGN: programs that the user's code starts would inherit it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave_it_to_the_search)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_as_usual)
    faulthandler.enable(os.open(crash_file, os.O_WRONLY))
    with contextlib.suppress(OSError):  # where open files cannot be removed, the search does it
        os.unlink(crash_file)  # noqa: PTH108
    reads, writes = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # the end comes without a flush
    inbox = Inbox(Channel(reads, writes))
    # The heavy imports come after the inbox: until then nobody would notice that the search ended.
    from .worker import Worker

    Worker(inbox).serve()


def _leave_it_to_the_search(*_: object) -> None:
    """A signal's handler that does nothing."""


def _as_usual() -> None:
    """Let processes that the user's code forks be ended by signals."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
