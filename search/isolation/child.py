"""The evaluating process: it does what comes over its standard input, until that is closed.

It never outlives the search: a thread waits at the pipe, and ends the process when the search is
gone, whatever it is doing. What a user's model prints goes to standard error, so that it cannot
get between the messages.
"""

import faulthandler
import os
import queue
import signal
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
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    dump = os.open(crash_file, os.O_WRONLY)
    faulthandler.enable(dump)
    reads, writes = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    inbox = Inbox(Channel(reads, writes))
    # The heavy imports come after the inbox: until then nobody would notice that the search ended.
    from .worker import Worker

    Worker(inbox).serve()


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
