"""The evaluating process: it does what comes over its standard input, until that is closed.

It never outlives the search: a thread waits at the pipe, and ends the process when the search is
gone, whatever it is doing. What a user's model prints goes to standard error, so that it cannot
get between the messages.
"""

import contextlib
import faulthandler
import io
import os
import queue
import signal
import sys
import threading
import time

from .channel import Channel

_ALIVE_EVERY = 1.0
"""Seconds between two signs of life, at least."""


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


class Inbox:
    """What the search sends, read by a thread of its own.

    Args:
        channel: to the search.

    Attributes:
        stop_requested: set while the search wants the work under way to end.
    """

    def __init__(self, channel: Channel) -> None:
        self.stop_requested = threading.Event()
        self._channel, self._frames = channel, queue.Queue[bytes]()
        self._sent = time.monotonic()
        threading.Thread(target=self._listen, daemon=True).start()

    def next_frame(self) -> bytes:
        """Wait for the next request."""
        return self._frames.get()

    def send(self, message: object) -> None:
        """Send a message to the search."""
        self._sent = time.monotonic()
        try:
            self._channel.send(message)
        except OSError:
            os._exit(0)

    def is_quiet(self) -> bool:
        """Whether nothing was sent for a while."""
        return time.monotonic() - self._sent >= _ALIVE_EVERY

    def _listen(self) -> None:
        try:
            while True:
                frame = self._channel.receive_bytes()
                if frame:
                    self.stop_requested.clear()
                    self._frames.put(frame)
                else:
                    self.stop_requested.set()
        except (EOFError, OSError):
            # The search is gone. Threads of torch may be in the middle of anything: no clean-up.
            os._exit(0)
