"""What the search sends to the evaluating process, read by a thread of its own."""

import os
import queue
import threading
import time

from .channel import Channel

_ALIVE_EVERY = 1.0
"""Seconds between two signs of life, at least."""


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
