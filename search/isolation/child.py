"""Entry point of the evaluating process, which serves requests from its standard input.

The process never outlives the search: a thread reads the pipe, and exits the process when the pipe
is closed. Output of user code is redirected to standard error, so that it cannot mix with messages.
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
        crash_file: file for a dump of all threads' stacks, in case of a crash.
    """
    # Ctrl-C and `kill` reach the whole process group, but the search ends this process itself.
    # NOTE: not SIG_IGN, which programs started by user code would inherit.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave_it_to_the_search)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_as_usual)
    faulthandler.enable(os.open(crash_file, os.O_WRONLY))
    with contextlib.suppress(OSError):  # on Windows, open files are removed by the search later
        os.unlink(crash_file)  # noqa: PTH108
    reads, writes = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # the process exits without a flush
    inbox = Inbox(Channel(reads, writes))
    # Heavy imports follow the inbox, so that the end of the search is noticed during them.
    from .worker import Worker

    Worker(inbox).serve()


def _leave_it_to_the_search(*_: object) -> None:
    """Signal handler that does nothing."""


def _as_usual() -> None:
    """Restore the default signal handlers in processes that user code forks."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
